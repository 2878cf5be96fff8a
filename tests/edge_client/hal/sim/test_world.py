from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_client.hal.channels import TABLE, quantity
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sim.recordings import Recording
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import DAY, MOTION_S, SHAKEN, STILL, Layered, Nearby, Synthetic

T0 = 1672531200.0


@given(st.text(min_size=1, max_size=20), st.floats(0, 2e9))
def test_every_quantity_is_plausible_and_the_same_again(seed: str, t: float) -> None:
    one, two = Synthetic(seed).at(t), dict(Synthetic(seed).at(t))
    assert set(one) == set(TABLE)
    for key, value in one.items():
        assert quantity(key).plausible(value), key
        assert value == two[key]


def test_a_hundred_seeds_are_a_hundred_places() -> None:
    places = {tuple(round(Synthetic(f"pi-{i}").temperature(T0 + h * 3600), 3) for h in range(0, 48, 7)) for i in range(100)}
    assert len(places) == 100


def test_it_has_days_years_people_and_motion() -> None:
    world = Synthetic("pi-1")
    days = range(0, 365, 3)
    noon = sum(world.temperature(T0 + d * DAY + 15 * 3600) for d in days) / len(days)
    night = sum(world.temperature(T0 + d * DAY + 3 * 3600) for d in days) / len(days)
    assert noon - night > 3

    def month(number: int) -> float:
        return sum(world.temperature(T0 + (number * 30.4 + d) * DAY) for d in range(28)) / 28

    assert month(6) - month(0) > 5
    assert world.at(T0 + 12 * 3600 + 170 * DAY)["illuminance"] > 10_000
    assert world.at(T0 + 170 * DAY)["illuminance"] < 300
    weekday = T0 + DAY  # a Monday
    assert world.at(weekday + 13 * 3600)["carbon_dioxide"] > world.at(weekday + 4 * 3600)["carbon_dioxide"] + 200
    kinds = {world.motion(T0 + i * MOTION_S) for i in range(60)}
    assert {STILL, SHAKEN} <= kinds


def test_motion_has_no_steps() -> None:
    world = Synthetic("pi-1")
    values = [world.at(T0 + i * 0.002)["acceleration_z"] for i in range(30_000)]
    assert max(abs(b - a) for a, b in pairwise(values)) < 2.0


def test_layers_answer_from_the_upper_one_first() -> None:
    world = Layered(Recording([0.0], {"temperature": [3.0]}), Synthetic("a"))
    values = world.at(T0)
    assert values["temperature"] == 3.0
    assert values["humidity"] == Synthetic("a").at(T0)["humidity"]
    assert set(values) == set(TABLE) == set(world.channels)
    assert len(values) == len(TABLE)
    with pytest.raises(KeyError):
        values["wetness"]


def test_nearby_places_differ_a_little_and_by_seed() -> None:
    recording = Recording([0.0, 3600.0], {"temperature": [3.0, 4.0], "humidity": [50.0, 60.0], "pressure": [990.0, 991.0]})
    one, two = Nearby(recording, "a").at(1800), Nearby(recording, "b").at(1800)
    assert one != two
    assert one == Nearby(recording, "a").at(1800)
    assert one["temperature"] == pytest.approx(3.5, abs=1.9)
    assert one["pressure"] == pytest.approx(990.5, abs=4.1)
    assert one["humidity"] == 55


def test_a_scene_is_pinned_or_moves_with_the_clock() -> None:
    clock = VirtualClock()
    scene = Scene(Recording([0.0, 100.0], {"temperature": [0.0, 100.0]}), clock)
    scene.follow(10.0)
    clock.sleep(5)
    assert scene.time == 15
    assert scene.value("temperature") == pytest.approx(15)
    scene.pin(40.0)
    clock.sleep(5)
    assert scene.value("temperature") == pytest.approx(40)
    scene.follow(scene.time)
    clock.sleep(5)
    assert scene.value("temperature") == pytest.approx(45)
    with pytest.raises(KeyError):
        scene.value("humidity")
