"""The channel table beside the chips' data sheets: ranges that reach as far as the chips do, and steps that real change does not exceed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from bramble_client.hal.channels import TABLE, quantity
from bramble_client.hal.sim.world import Synthetic

G = 9.80665
REACH = {  # key: what the chips can say, from their data sheets
    "temperature": (-60, 85),  # BME280, operating range -40 to 85 °C; the air of no place is colder than -60
    "humidity": (0, 100),
    "pressure": (300, 1100),  # BMP280, operating range
    "carbon_dioxide": (0, 40_000),  # SCD4x, output range
    "illuminance": (0, 130_000),  # BH1750 at its shortest measurement time: 121 557 lx; the sun has 130 000
    "gas_resistance": (0, 1e8),
    "voc_raw": (0, 65_535),  # SGP40, the output of 16 bits
    "distance": (0, 10_000),  # beyond every such chip; the VL53L0X has 2 m, and says 8190 for nothing
    "voltage": (-32, 32),  # INA219, 32 V range
    "current": (-40, 40),  # INA219, 40 mV across 1 mOhm
    "power": (-1300, 1300),  # 32 V times 40 A
    **{f"acceleration_{axis}": (-16 * G, 16 * G) for axis in "xyz"},  # ADXL345 and MPU-6050, 16 g
    **{f"rotation_{axis}": (-2000, 2000) for axis in "xyz"},  # MPU-6050, 2000 °/s
}
STEPS = {  # key: coarsest useful step, jump, growth of the jump in a second
    "temperature": (0.01, 1.0, 0.02),
    "humidity": (0.01, 5.0, 0.05),
    "pressure": (0.01, 1.0, 0.02),
    "carbon_dioxide": (1, 200, 5),
    "illuminance": (0.5, 500, 100),
    "gas_resistance": (1, 1e6, 1e5),
    "voc_raw": (1, 500, 100),
    "distance": (1, 500, 1000),
    "voltage": (0.0001, 0.5, 0.1),
    "current": (0.0001, 0.5, 0.1),
    "power": (0.001, 10.0, 1.0),
    **{f"acceleration_{axis}": (0.001, 40, 2000) for axis in "xyz"},
    **{f"rotation_{axis}": (0.01, 500, 20_000) for axis in "xyz"},
}


@pytest.mark.parametrize("key", TABLE)
def test_a_range_reaches_as_far_as_the_chips_do(key: str) -> None:
    row = TABLE[key]
    assert (row.low, row.high) == pytest.approx(REACH[key])
    assert row.plausible(REACH[key][0])
    assert row.plausible(REACH[key][1])
    assert not row.plausible(REACH[key][0] - row.resolution)
    assert not row.plausible(REACH[key][1] + row.resolution)


@pytest.mark.parametrize("key", TABLE)
def test_what_passes_unasked_is_what_the_published_trial_was_measured_with(key: str) -> None:
    """How many wrong values get through depends on these: whoever changes one measures anew."""
    row = TABLE[key]
    assert (row.resolution, row.jump, row.slope) == STEPS[key]
    assert (row.step(0), row.step(1), row.step(1e9)) == pytest.approx((row.jump, row.jump + row.slope, row.jump + 300 * row.slope))


PACE: dict[str, float] = {**dict.fromkeys(TABLE, 60.0), **{key: 0.01 for key in TABLE if key.startswith(("acceleration", "rotation"))}}


@pytest.mark.parametrize("key", TABLE)
def test_weather_people_and_motion_change_no_faster_than_that(key: str) -> None:
    """At its usual pace a healthy sensor in the synthetic world is almost never asked twice."""
    value: Callable[[float], float] = lambda t: Synthetic("pi-3").at(t)[key]  # noqa: E731
    start, pace = 1_683_000_000.0, PACE[key]
    values = [value(start + i * pace) for i in range(1500)]
    surprising = sum(abs(b - a) > quantity(key).step(pace) for a, b in pairwise(values))
    assert surprising <= 2
