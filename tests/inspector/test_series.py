from __future__ import annotations

from typing import Any

import numpy as np

from bramble_inspector.series import last_times, merge, newest, parse


def answer(t: list[float], value: list[float | None], key: str = "temperature", client: str = "a") -> dict[str, Any]:
    return {client: {key: {"unit": "°C", "t": t, "value": value}}}


def values(readings: Any, key: str = "temperature", client: str = "a") -> list[Any]:
    series = readings[client][key]
    return [(t, None if np.isnan(v) else v) for t, v in zip(series.t.tolist(), series.value.tolist(), strict=True)]


def test_a_reading_that_failed_is_kept_as_failed() -> None:
    assert values(parse(answer([1, 2], [5.0, None]))) == [(1, 5.0), (2, None)]


def test_a_channel_of_nothing_but_failures_is_still_numbers() -> None:
    assert parse(answer([1, 2], [None, None]))["a"]["temperature"].value.dtype == np.float64


def test_new_readings_are_appended() -> None:
    merged = merge(parse(answer([1, 2], [5.0, 6.0])), parse(answer([3], [7.0])), keep=10)
    assert values(merged) == [(1, 5.0), (2, 6.0), (3, 7.0)]


def test_a_time_told_twice_counts_once_and_the_later_answer_wins() -> None:
    merged = merge(parse(answer([1, 2, 3], [5.0, None, 7.0])), parse(answer([2, 3, 4], [6.0, 7.0, 8.0])), keep=10)
    assert values(merged) == [(1, 5.0), (2, 6.0), (3, 7.0), (4, 8.0)]


def test_a_backlog_fills_the_hole_it_belongs_to() -> None:
    merged = merge(parse(answer([1, 5], [1.0, 5.0])), parse(answer([2, 3], [2.0, 3.0])), keep=10)
    assert values(merged) == [(1, 1.0), (2, 2.0), (3, 3.0), (5, 5.0)]


def test_only_the_newest_readings_are_kept() -> None:
    merged = merge(parse(answer([1, 2, 3], [1.0, 2.0, 3.0])), parse(answer([4], [4.0])), keep=2)
    assert values(merged) == [(3, 3.0), (4, 4.0)]
    assert values(merge({}, parse(answer([1, 2, 3], [1.0, 2.0, 3.0])), keep=2)) == [(2, 2.0), (3, 3.0)]


def test_a_repeat_changes_nothing_at_all() -> None:
    old = parse(answer([1, 2], [1.0, None]))
    assert merge(old, parse(answer([1, 2], [1.0, None])), keep=10) is old
    assert merge(old, parse(answer([], [])), keep=10) is old
    assert merge(old, {}, keep=10) is old


def test_merging_leaves_what_was_handed_out_before_as_it_was() -> None:
    old = parse(answer([1], [1.0]))
    merge(old, parse(answer([2], [2.0])), keep=10)
    merge(old, parse(answer([2], [2.0], key="humidity")), keep=10)
    assert values(old) == [(1, 1.0)]
    assert old["a"].keys() == {"temperature"}


def test_a_client_is_known_as_far_as_its_slowest_channel() -> None:
    readings = merge(parse(answer([1, 9], [1.0, 9.0])), parse(answer([1, 4], [1.0, 4.0], key="temperature.forecast")), keep=10)
    assert last_times(readings) == {"a": 4.0}
    assert last_times(parse(answer([], []))) == {}


def test_the_newest_reading_is_a_measurement_not_a_forecast_of_tomorrow() -> None:
    readings = merge(parse(answer([1, 9], [1.0, 9.0])), parse(answer([12], [4.0], key="temperature.forecast")), keep=10)
    assert newest(readings) == 9.0
    assert newest({}) is None


def test_a_window_starts_where_it_is_told_to() -> None:
    series = parse(answer([1, 2, 3], [1.0, 2.0, 3.0]))["a"]["temperature"]
    assert series.after(2).t.tolist() == [2, 3]
    assert series.after(float("-inf")) is series
