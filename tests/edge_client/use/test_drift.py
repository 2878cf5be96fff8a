"""Page and Hinkley's test on the errors of seeded series of days."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import numpy as np
import pytest

from bramble_client.use.drift import LEAST, PAST, SHOWN, Day, Drift

FIRST = 19_000


def days(logs: Iterable[float], first: int = FIRST) -> list[Day]:
    return [Day(first + index, 24 * math.exp(log), 24) for index, log in enumerate(logs)]


def weather(seed: int, count: int) -> np.ndarray:
    """Logarithms of daily errors as they are at the stations: spread 0.6, and tomorrow is half of today."""
    random, found = np.random.default_rng(seed), [0.0]
    for noise in random.normal(0, 0.5, count - 1):
        found.append(0.5 * found[-1] + float(noise))
    return np.array(found)


def found_on(series: Iterable[Day]) -> list[tuple[int | None, int]]:
    state, found = Drift(), list[tuple[int | None, int]]()
    for day in series:
        before, state = state, state.after([day])
        if state.found_on != before.found_on:
            found.append((state.since, state.found_on))
    return found


def test_weather_alone_raises_an_alarm_less_than_once_in_ten_years() -> None:
    alarms = sum(len(found_on(days(weather(seed, 365)))) for seed in range(40))
    assert alarms < 4


def test_an_error_that_is_five_times_as_large_is_found_within_two_weeks_and_mostly_dated_within_one() -> None:
    off = []
    for seed in range(10):
        logs = weather(seed, 200)
        logs[120:] += math.log(5) * 1.2
        ((since, found), *_) = found_on(days(logs))
        assert since is not None
        assert FIRST + 120 <= found <= FIRST + 134
        off.append(abs(since - (FIRST + 120)))
    assert sum(each <= 7 for each in off) >= 8


def test_an_error_that_is_two_and_a_half_times_as_large_is_found_before_the_mean_is_used_to_it() -> None:
    logs = np.concatenate([np.zeros(120), np.full(60, math.log(2.5))])
    [(since, found)] = found_on(days(logs))
    assert since == FIRST + 120
    assert found <= FIRST + 140


def test_a_day_that_is_beyond_all_others_is_no_drift() -> None:
    logs = np.zeros(200)
    logs[[100, 101, 150]] = 12.0
    assert found_on(days(logs)) == []


def test_an_error_that_falls_is_no_drift() -> None:
    logs = weather(1, 200)
    logs[100:] -= 3
    assert found_on(days(logs)) == []


def test_a_season_is_no_drift() -> None:
    logs = weather(2, 365) + 0.7 * np.sin(np.arange(365) * 2 * math.pi / 365)
    assert found_on(days(logs)) == []


def test_nothing_is_said_in_the_first_days() -> None:
    assert found_on(days([0.0, 9.0] * (LEAST // 2))) == []


def test_a_drift_is_told_for_two_weeks_and_what_it_rose_to_is_the_past_then() -> None:
    logs = [0.0] * 40 + [5.0] * 60
    state = Drift().after(days(logs[:50]))
    assert state.since == FIRST + 40
    later = Drift().after(days(logs[: 50 + SHOWN + 1]))
    assert later.since is None
    assert len(found_on(days(logs))) == 1


def test_parts_of_a_day_are_one_day() -> None:
    whole = days(weather(3, PAST))
    parts = [part for day in whole for part in (Day(day.number, day.error / 4, 6), Day(day.number, day.error * 3 / 4, 18))]
    one, other = Drift().after(whole), Drift()
    for part in parts:
        other = other.after([part])
    assert (one.mean, one.days) == (pytest.approx(other.mean), other.days)


def test_a_day_without_any_error_has_a_logarithm_too() -> None:
    assert math.isfinite(Drift().after([Day(1, 0.0, 24), Day(2, 0.0, 24)]).mean)


def test_it_is_read_as_it_was_written() -> None:
    state = Drift().after(days(weather(4, 100)))
    assert Drift.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert Drift.from_json(json.loads(json.dumps(Drift().to_json()))) == Drift()


def test_when_a_site_changed_last_is_known_for_good() -> None:
    logs = np.concatenate([np.zeros(40), np.full(60, 3.0)])
    state = Drift().after(days(logs))
    assert state.since is None, "it is told for two weeks"
    assert state.changed == FIRST + 40
    assert Drift.from_json(json.loads(json.dumps(state.to_json()))) == state
