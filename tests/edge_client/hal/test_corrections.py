"""Corrections, and what follows from them in physics."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bramble_client.hal.config import load
from bramble_client.hal.corrections import Corrections, saturation
from bramble_client.hal.drivers.base import Measurement
from bramble_client.hal.errors import ConfigError
from bramble_client.hal.readings import Quality
from bramble_client.hal.sensor import Sensor
from tests.edge_client.hal.bench import WORLD, Bench


def applied(corrections: Corrections, **values: float) -> dict[str, float]:
    return dict(corrections.apply(Measurement(0.0, values)).values)


def test_without_corrections_nothing_changes() -> None:
    assert applied(Corrections(), temperature=20.0, humidity=50.0) == {"temperature": 20.0, "humidity": 50.0}


def test_a_gain_comes_before_an_offset() -> None:
    assert applied(Corrections({"pressure": 1.1}, {"pressure": -0.5}), pressure=1000.0) == {"pressure": pytest.approx(1099.5)}


@pytest.mark.parametrize(("offset", "percent"), [(5.0, 100.0), (-120.0, 0.0)])
def test_no_correction_takes_a_quantity_beyond_what_it_can_be(offset: float, percent: float) -> None:
    assert applied(Corrections({}, {"humidity": offset}), humidity=98.0) == {"humidity": percent}
    assert applied(Corrections({}, {"illuminance": -5.0}), illuminance=1.0) == {"illuminance": 0.0}


@pytest.mark.parametrize(
    ("measured", "true", "before", "after"), [(25.0, 20.0, 40.0, 54.2), (20.0, 25.0, 54.2, 40.0), (35.0, 20.0, 90.0, 100.0)]
)
def test_humidity_follows_the_temperature_and_ends_at_100_percent(measured: float, true: float, before: float, after: float) -> None:
    found = applied(Corrections({}, {"temperature": true - measured}), temperature=measured, humidity=before)
    assert found == {"temperature": true, "humidity": pytest.approx(after, abs=0.1)}


def test_a_correction_that_is_far_off_shows_as_such() -> None:
    assert applied(Corrections({}, {"humidity": 500.0}), humidity=50.0) == {"humidity": 550.0}
    bench = Bench("bme280", **WORLD)
    (reading,) = [one for one in Sensor(bench.driver, offset={"humidity": 500.0}).read() if one.channel == "humidity"]
    assert reading.quality is Quality.RANGE


def test_the_water_in_the_air_stays_what_it_is() -> None:
    found = applied(Corrections({"temperature": 0.9}, {}), temperature=30.0, humidity=33.0)
    assert found["humidity"] * saturation(27.0) == pytest.approx(33.0 * saturation(30.0))


def test_the_humidity_s_own_correction_comes_after_and_it_may_be_left_alone() -> None:
    both = Corrections({"humidity": 1.1}, {"temperature": -5.0})
    assert applied(both, temperature=25.0, humidity=40.0)["humidity"] == pytest.approx(1.1 * 54.2, abs=0.1)
    alone = Corrections({"humidity": 1.1}, {"temperature": -5.0}, humidity_follows=False)
    assert applied(alone, temperature=25.0, humidity=40.0)["humidity"] == pytest.approx(44.0)


@pytest.mark.parametrize("celsius", [-243.12, -250.0, 500.0, math.nan])
def test_where_there_is_no_such_air_humidity_stays(celsius: float) -> None:
    assert applied(Corrections({}, {"temperature": 1.0}), temperature=celsius, humidity=40.0)["humidity"] == 40.0


def test_power_is_the_corrected_voltage_times_the_corrected_current() -> None:
    found = applied(Corrections({"current": 1.05}, {"voltage": 0.1}), voltage=12.0, current=2.0, power=24.0)
    assert found == pytest.approx({"voltage": 12.1, "current": 2.1, "power": 12.1 * 2.1})
    assert applied(Corrections({"power": 2.0}), voltage=12.0, current=2.0, power=24.0)["power"] == 48.0


def test_a_chips_range_is_that_of_what_it_says_not_of_what_is_made_of_it() -> None:
    bench = Bench("ads1115", **{**WORLD, "voltage": 12.0})
    divided = Sensor(bench.driver, gain={"a0.voltage": 20.0})
    assert next((reading.value, reading.quality) for reading in divided.read()) == (pytest.approx(60.0), Quality.GOOD)
    bench = Bench("bme280", **{**WORLD, "temperature": 84.0})
    (hot, *_) = Sensor(bench.driver, offset={"temperature": 3.0}).read()
    assert (hot.value, hot.quality) == (pytest.approx(87.0, abs=0.1), Quality.GOOD)


def test_it_is_an_option_of_the_file_that_has_to_be_true_or_false(tmp_path: Path) -> None:
    path = tmp_path / "sensors.toml"
    path.write_text('[[sensor]]\ndriver = "bme280"\nhumidity_follows = false\n')
    (sensor,), _ = load(path)
    assert sensor.humidity_follows is False
    path.write_text('[[sensor]]\ndriver = "bme280"\nhumidity_follows = "no"\n')
    _, (problem,) = load(path)
    assert isinstance(problem, ConfigError)
    assert "key 'humidity_follows': expected true or false, not 'no'" in str(problem)
