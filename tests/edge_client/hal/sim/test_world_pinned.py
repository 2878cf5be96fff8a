"""The synthetic world is the same on every machine and in every version: what a client measured once, it will measure again."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sim.recordings import Recording
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import DAY, MOTION_S, SHAKEN, STILL, WALKING, YEAR, Layered, Nearby, Synthetic
from tests.edge_client.hal.bench import Flat

NEW_YEAR, SPRING = 1672531200.0, 1683291723.5
PINNED = {
    ("pi-1", NEW_YEAR): {
        "temperature": 13.3007, "humidity": 52.4932, "pressure": 955.17, "carbon_dioxide": 425, "illuminance": 0,
        "gas_resistance": 120000, "voltage": 11.9688, "current": 0.35, "power": 4.18907, "acceleration_z": 9.80665,
    },
    ("pi-1", SPRING): {
        "temperature": 28.7242, "humidity": 45.8975, "pressure": 946.137, "carbon_dioxide": 1026, "illuminance": 37863.9,
        "gas_resistance": 51368.5, "voltage": 13.5636, "current": 0.404494, "power": 5.48641,
    },
    ("pi-2", SPRING): {
        "temperature": 13.0124, "humidity": 43.504, "pressure": 958.54, "carbon_dioxide": 1039.4, "illuminance": 44031.4,
        "gas_resistance": 50405.5, "voltage": 13.678, "current": 0.412379, "power": 5.64054,
        "acceleration_x": -1.50887, "acceleration_y": 0.269715, "acceleration_z": 10.3411,
        "rotation_x": -31.3673, "rotation_y": 8.55083, "rotation_z": 24.2505,
    },
}  # fmt: skip
"""A change of these is a change of every simulated fleet: say so in the change log."""


@pytest.mark.parametrize(("seed", "t"), PINNED)
def test_a_place_has_the_values_that_it_always_had(seed: str, t: float) -> None:
    values = Synthetic(seed).at(t)
    assert {key: values[key] for key in PINNED[seed, t]} == pytest.approx(PINNED[seed, t], rel=1e-5)


@given(st.sampled_from([f"pi-{i}" for i in range(8)]), st.floats(0, 2e9))
def test_people_are_there_wholly_partly_or_not_at_all(seed: str, t: float) -> None:
    assert -1e-9 <= Synthetic(seed).occupancy(t) <= 1


@pytest.mark.parametrize("seed", [f"pi-{i}" for i in range(5)])
def test_people_come_on_working_days_between_breakfast_and_dinner(seed: str) -> None:
    world = Synthetic(seed)
    monday = NEW_YEAR + DAY
    for day in range(7):
        start = monday + day * DAY
        assert world.occupancy(start + 4 * 3600) < 0.02
        assert world.occupancy(start + 23 * 3600) < 0.02
        noon = world.occupancy(start + 13 * 3600)
        assert (noon >= 0.5) if day < 5 else (noon <= 0.3)


@pytest.mark.parametrize("seed", [f"pi-{i}" for i in range(5)])
def test_what_people_do_shows_in_all_that_they_touch(seed: str) -> None:
    world = Synthetic(seed)
    busy, empty = world.at(NEW_YEAR + DAY + 13 * 3600), world.at(NEW_YEAR + DAY + 3 * 3600)
    assert busy["carbon_dioxide"] > empty["carbon_dioxide"] + 300
    assert busy["gas_resistance"] < empty["gas_resistance"]
    assert busy["current"] > empty["current"] - 0.3
    assert busy["illuminance"] > empty["illuminance"] + 100
    for values in (busy, empty):
        assert values["power"] == pytest.approx(values["voltage"] * values["current"])


@pytest.mark.parametrize("seed", [f"pi-{i}" for i in range(5)])
def test_the_sun_fills_the_battery_by_day(seed: str) -> None:
    world = Synthetic(seed)
    june = NEW_YEAR + 171 * DAY
    night, noon = world.at(june), world.at(june + DAY / 2)
    assert night["illuminance"] < 1
    assert 11.8 <= night["voltage"] <= 12.4
    assert noon["voltage"] > night["voltage"] + 1
    winter, summer = (Synthetic(seed).at(NEW_YEAR + day * DAY + DAY / 2)["illuminance"] for day in (19, 201))
    assert summer > winter


@pytest.mark.parametrize("seed", [f"pi-{i}" for i in range(5)])
def test_afternoons_are_the_warmest_and_january_is_the_coldest(seed: str) -> None:
    world = Synthetic(seed)
    warmest = max(range(24), key=lambda hour: sum(world.temperature(NEW_YEAR + d * DAY + hour * 3600) for d in range(0, 365, 5)))
    assert warmest in (14, 15, 16)
    coldest = min(range(0, 365, 5), key=lambda day: sum(world.temperature(NEW_YEAR + day * DAY + h * YEAR) for h in range(40)))
    assert coldest < 50 or coldest > 345


def test_a_place_rests_walks_and_is_shaken_in_stretches_of_ten_seconds() -> None:
    world = Synthetic("pi-1")
    kinds = [world.motion(NEW_YEAR + i * MOTION_S) for i in range(2000)]
    shares = [kinds.count(kind) / len(kinds) for kind in (STILL, WALKING, SHAKEN)]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.04)
    for i, kind in enumerate(kinds[:200]):
        start = NEW_YEAR + i * MOTION_S
        swing = [world.at(start + n * 0.02)["acceleration_z"] - 9.80665 for n in range(500)]
        turn = [world.at(start + n * 0.02)["rotation_x"] for n in range(500)]
        low, high = {STILL: (0, 1e-9), WALKING: (2.0, 2.5), SHAKEN: (8.0, 9.0)}[kind]
        assert low <= max(map(abs, swing)) <= high + 1e-9
        assert max(map(abs, turn)) <= {STILL: 0, WALKING: 40, SHAKEN: 180}[kind] + 1e-9
        assert abs(swing[0]) < 1e-6, "each stretch begins at rest"


def test_steps_are_twice_as_fast_up_and_down_as_sideways() -> None:
    world = Synthetic("pi-1")
    start = next(NEW_YEAR + i * MOTION_S for i in range(99) if world.motion(NEW_YEAR + i * MOTION_S) == WALKING)

    def crossings(axis: str, rest: float) -> int:
        values = [world.at(start + 2 + n * 0.005)[f"acceleration_{axis}"] - rest for n in range(1200)]
        return sum(a * b < 0 for a, b in pairwise(values))

    up, side = crossings("z", 9.80665), crossings("x", 0.0)
    assert 1.6 <= up / 12 <= 2.2, "steps in a second: two crossings each, six seconds"
    assert up / side == pytest.approx(2, abs=0.25)


def test_nearby_shifts_what_it_knows_and_leaves_the_rest() -> None:
    world = Flat(temperature=10.0, pressure=1000.0, humidity=55.0)
    place = Nearby(world, "a")
    shifts = [(place.at(hour * 3600.0)["temperature"] or 0.0) - 10.0 for hour in range(24)]
    middle = sum(shifts) / 24
    assert abs(middle) <= 1
    assert max(shifts) - min(shifts) <= 1.6 + 1e-9
    assert max(map(abs, (shifts[15] - middle, shifts[3] - middle))) == pytest.approx(max(abs(s - middle) for s in shifts))
    assert len({place.at(hour * 3600.0)["pressure"] for hour in range(24)}) == 1
    assert Nearby(Flat(humidity=55.0), "a").at(0.0) == {"humidity": 55.0}
    assert Nearby(Flat(pressure=1000.0), "a").at(0.0)["pressure"] != 1000.0
    assert world.values == {"temperature": 10.0, "pressure": 1000.0, "humidity": 55.0}, "the recording stays what it is"


def test_a_layer_of_two_offers_the_channels_of_both_once() -> None:
    both = Layered(Flat(temperature=1.0, humidity=2.0), Flat(temperature=3.0, pressure=4.0))
    assert list(both.channels) == ["temperature", "humidity", "pressure"]
    assert dict(both.at(0.0)) == {"temperature": 1.0, "humidity": 2.0, "pressure": 4.0}


RAMP = Recording([0.0, 1000.0], {"temperature": [0.0, 1000.0]})


def test_a_scene_begins_at_its_start_and_moves_with_the_clock(clock: VirtualClock) -> None:
    scene = Scene(RAMP, clock, 100.0)
    clock.sleep(7)
    assert scene.time == 107
    assert scene.value("temperature") == pytest.approx(107)
    assert Scene(RAMP, clock).time == 0


def test_a_moving_scene_can_be_looked_at_a_little_earlier(clock: VirtualClock) -> None:
    scene = Scene(RAMP, clock, 100.0)
    with scene.shifted(-2.5):
        assert scene.value("temperature") == pytest.approx(97.5)
    assert scene.value("temperature") == pytest.approx(100)
    with pytest.raises(KeyError), scene.shifted(-50.0):
        scene.value("wetness")
    assert scene.value("temperature") == pytest.approx(100), "whatever happened meanwhile"


def test_a_pinned_scene_is_one_moment_however_it_is_looked_at(clock: VirtualClock) -> None:
    scene = Scene(RAMP, clock)
    scene.pin(500.0)
    with scene.shifted(-2.5):
        assert scene.value("temperature") == pytest.approx(500)
    assert scene.time == 500


def test_the_world_is_asked_once_for_each_moment(clock: VirtualClock) -> None:
    asked: list[float] = []

    class Counting(Flat):
        def at(self, t: float) -> dict[str, float]:
            asked.append(t)
            return self.values

    scene = Scene(Counting(temperature=1.0, humidity=2.0), clock, 5.0)
    for key in ("temperature", "humidity", "temperature"):
        scene.value(key)
    scene.pin(9.0)
    scene.pin(9.0)
    scene.value("humidity")
    assert asked == [5.0, 9.0]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8), st.floats(-1e5, 1e5))
def test_a_recording_stays_within_its_own_values_and_repeats_itself(values: list[float], t: float) -> None:
    recording = Recording([100.0 + 60 * i for i in range(len(values))], {"temperature": values})
    value = recording.at(t)["temperature"]
    assert value is not None
    assert min(values) - 1e-6 <= value <= max(values) + 1e-6
    span = max(values) - min(values)
    slope = max((abs(b - a) for a, b in pairwise([*values, values[0]])), default=inf) / min(60.0, recording.duration)
    assert recording.at(t + recording.duration)["temperature"] == pytest.approx(value, abs=1e-6 * (1 + span) + 1e-8 * slope)
