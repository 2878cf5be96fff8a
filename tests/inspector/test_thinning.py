from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bramble_inspector.thinning import MAX_POINTS, budget, thin

HOUR = 3600.0


def hours(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.float64) * HOUR


def test_short_series_come_through_unchanged() -> None:
    t, value = hours(MAX_POINTS), np.sin(hours(MAX_POINTS))
    assert thin(t, value) == (t.tolist(), value.tolist())


def test_long_series_keep_their_ends_and_every_spike() -> None:
    value = np.sin(hours(20_000) / 1e6)
    value[7_321], value[15_555] = 40.0, -40.0
    times, values = thin(hours(20_000), value)
    assert len(times) <= MAX_POINTS
    assert {0.0, 19_999 * HOUR} <= set(times)
    assert {40.0, -40.0} <= set(values)


def test_a_failed_reading_breaks_the_line_where_it_failed() -> None:
    value = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    assert thin(hours(5), value) == ([0.0, HOUR, 3 * HOUR, 3 * HOUR, 4 * HOUR], [1.0, 2.0, None, 4.0, 5.0])


def test_a_failed_reading_still_breaks_the_line_after_downsampling() -> None:
    value = np.sin(hours(5_000) / 1e5)
    value[2_500] = np.nan
    times, values = thin(hours(5_000), value)
    assert len(times) <= MAX_POINTS + 1
    hole = values.index(None)
    assert times[hole - 1] < 2_500 * HOUR < times[hole + 1]


def test_a_client_that_was_away_leaves_a_gap_and_not_a_bridge() -> None:
    t = np.concatenate([hours(10), hours(10) + 100 * HOUR])
    times, values = thin(t, np.ones(20))
    assert values.count(None) == 1
    assert times[values.index(None)] == 100 * HOUR


@pytest.mark.parametrize("value", [[], [np.nan], [np.nan, np.nan, np.nan]])
def test_nothing_to_draw_gives_nothing(value: list[float]) -> None:
    assert thin(hours(len(value)), np.array(value)) == ([], [])


@given(arrays(np.float64, st.integers(0, 1500), elements=st.floats(-1e6, 1e6) | st.just(np.nan)), st.integers(10, 300))
def test_what_is_kept_was_there_and_times_never_run_backwards(value: np.ndarray, points: int) -> None:
    t = hours(value.size)
    times, values = thin(t, value, points)
    known = dict(zip(t.tolist(), value.tolist(), strict=True))
    kept = [(time, v) for time, v in zip(times, values, strict=True) if v is not None]
    assert all(known[time] == v for time, v in kept)
    assert len(kept) <= max(points, np.isfinite(value).sum() if value.size <= points else points)
    assert times == sorted(times)


@pytest.mark.parametrize(("traces", "points"), [(0, 500), (5, 500), (40, 500), (50, 400), (1000, 100)])
def test_many_traces_share_what_a_browser_can_draw(traces: int, points: int) -> None:
    assert budget(traces) == points
