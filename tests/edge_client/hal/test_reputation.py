"""A sensor's record: weather passes untouched at any pace; what no air does is held against the sensor, and forgiven later."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from bramble_client.hal.reputation import AIR, ERRATIC, LEAPED, STUCK, Reputation
from bramble_client.hal.sim import recordings
from bramble_client.hal.sim.world import Nearby, Synthetic

HOUR = 3600.0
START = 1_672_531_200.0
WEATHER = ("temperature", "humidity", "pressure")
SPAN = {"temperature": (-60.0, 85.0), "humidity": (0.0, 100.0), "pressure": (300.0, 1100.0)}
Say = Callable[[int, dict[str, float], random.Random], dict[str, float]]


def doubts(values: Iterator[dict[str, float]], every: float = HOUR, channels: tuple[str, ...] = WEATHER) -> list[str | None]:
    reputation = Reputation(channels, restless=True)
    return [reputation.doubt(i * every, {key: row[key] for key in channels}) for i, row in enumerate(values)]


@cache
def station(name: str) -> Nearby:
    return Nearby(recordings.load(recordings.builtin()[name]), "a place nearby")


def weather(count: int, every: float = HOUR, name: str = "chicago") -> Iterator[dict[str, float]]:
    world = station(name)
    for i in range(count):
        yield {key: value for key, value in world.at(START + i * every).items() if value is not None}


def broken(say: Say, count: int = 240, every: float = HOUR, seed: int = 0) -> list[str | None]:
    """Return the doubts about a healthy week, and then about a sensor that says something else."""
    rng, healthy = random.Random(seed), round(7 * 24 * HOUR / every)
    rows = [row if i < healthy else say(i, row, rng) for i, row in enumerate(weather(healthy + count, every))]
    found = doubts(iter(rows), every)
    assert not any(found[:healthy])
    return found[healthy:]


def within(width: float) -> Say:
    """Say uniform nonsense, of a width that is a part of each channel's range, around the middle of the weather's."""

    def say(i: int, row: dict[str, float], rng: random.Random) -> dict[str, float]:
        centres = {"temperature": 10.0, "humidity": 50.0, "pressure": 700.0}
        return {key: centres[key] + (rng.random() - 0.5) * width * (high - low) for key, (low, high) in SPAN.items()}

    return say


@pytest.mark.slow
@pytest.mark.parametrize("name", recordings.builtin())
def test_a_year_at_a_real_station_passes_untouched(name: str) -> None:
    assert not any(doubts(weather(8760, name=name)))


@pytest.mark.parametrize("every", [1.0, 60.0, 1800.0, 7200.0, 86_400.0])
def test_weather_passes_at_any_pace(every: float) -> None:
    for name in recordings.builtin():
        assert not any(doubts(weather(400, every, name), every))


@pytest.mark.parametrize("every", [1.0, 60.0, 3600.0])
def test_a_house_with_people_passes_and_so_does_what_may_jump(every: float) -> None:
    world = Synthetic("house")
    rows = (dict(world.at(START + i * every)) for i in range(1000))
    assert not any(doubts(rows, every, tuple(world.channels)))


@pytest.mark.parametrize("width", [0.1, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("every", [1.0, 60.0, 3600.0])
def test_nonsense_of_any_width_makes_a_sensor_erratic_within_two_dozen_readings(width: float, every: float) -> None:
    for seed in range(10):
        rng = random.Random(seed)
        found = doubts((within(width)(i, {}, rng) for i in range(60)), every)
        assert all(doubt == ERRATIC for doubt in found[24:]), f"seed {seed}"


@pytest.mark.parametrize("every", [60.0, 3600.0])
def test_flapping_between_the_ends_makes_a_sensor_erratic(every: float) -> None:
    found = broken(lambda i, row, rng: {key: ends[i % 2] for key, ends in SPAN.items()}, 60, every)
    assert found[0] is not None
    assert all(found[8:])


def test_flapping_now_and_then_is_counted_by_its_leaps() -> None:
    """Ten good readings, ten at another level: no single one goes there and back."""
    found = broken(lambda i, row, rng: {**row, "temperature": row["temperature"] + (i // 10 % 2) * 40}, 300, 60.0)
    assert all(doubt == ERRATIC for doubt in found[80:])


def test_a_spike_is_doubted_and_those_beside_it_are_not() -> None:
    found = broken(lambda i, row, rng: {**row, "temperature": row["temperature"] + 40} if i % 50 == 49 else row, 500)
    assert [i for i, doubt in enumerate(found) if doubt] == [i for i in range(500) if (i + 168) % 50 == 49]
    assert set(found) == {None, LEAPED}


def test_a_sensor_that_is_carried_outside_is_believed_at_its_third_reading_there() -> None:
    found = broken(lambda i, row, rng: {**row, "temperature": row["temperature"] - 30}, 20, 60.0)
    assert found[:4] == [LEAPED, LEAPED, None, None]
    assert not any(found[2:])


def test_a_sensor_that_calmed_down_is_believed_again() -> None:
    broken_for = 40
    found = broken(lambda i, row, rng: within(1.0)(i, row, rng) if i < 168 + broken_for else row, 240)
    assert all(doubt == ERRATIC for doubt in found[15:broken_for])
    assert not any(found[broken_for + 120 :])


def test_what_stands_still_for_two_days_is_stuck_until_it_moves() -> None:
    rng = random.Random(1)
    still = {"temperature": 21.3, "humidity": 45.0, "pressure": 1003.0}
    rows = [{key: value + rng.gauss(0, 0.02) for key, value in still.items()} for _ in range(72)]
    found = doubts(iter(rows))
    assert not any(found[:48])
    assert set(found[48:]) == {STUCK}
    rows.append({**still, "temperature": 22.3})
    assert doubts(iter(rows))[-1] is None


def test_a_cellar_may_stand_still_for_days_where_the_pressure_is_not_measured() -> None:
    found = doubts(iter([{"temperature": 12.0, "humidity": 70.0}] * 200), channels=("temperature", "humidity"))
    assert not any(found[: 7 * 24])
    assert set(found[7 * 24 :]) == {STUCK}


def test_a_thermometer_whose_steps_are_coarse_may_repeat_itself() -> None:
    reputation = Reputation(("temperature",), restless=False)
    assert not any(reputation.doubt(i * HOUR, {"temperature": 12.0}) for i in range(1000))


def test_after_a_time_without_readings_nothing_is_held_against_the_next() -> None:
    reputation = Reputation(("temperature",), restless=True)
    assert reputation.doubt(0.0, {"temperature": 20.0}) is None
    assert reputation.doubt(86_400.0, {"temperature": -20.0}) is None
    assert reputation.doubt(86_460.0, {"temperature": 20.0}) == LEAPED


def test_what_is_no_number_is_left_out_of_account() -> None:
    reputation = Reputation(WEATHER, restless=True)
    assert reputation.doubt(0.0, {"temperature": 20.0, "humidity": float("nan")}) is None
    assert reputation.doubt(60.0, {}) is None
    assert reputation.doubt(120.0, {"temperature": 20.1, "pressure": 1000.0}) is None


def test_what_jumps_by_nature_has_no_record() -> None:
    rng, channels = random.Random(2), ("illuminance", "voltage", "acceleration_x", "rotation_z")
    assert not {channel for channel in channels} & set(AIR)
    assert not any(doubts(({key: rng.uniform(-100, 100) for key in channels} for _ in range(500)), 0.01, channels))
