"""Readings become windows: means over bins, whole bins only, no window across a gap, and each target where it belongs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_client.learn.windows import bin_means, windows
from bramble_protocol.graph import Manifest, Metric
from bramble_protocol.interface import Input, Interface, Target, Value
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel

MANIFEST = Manifest(
    task="test",
    description="",
    channels=(Channel("a", "V"), Channel("b", "V")),
    window=3,
    step_s=60.0,
    horizon=2,
    target="b",
    layout=Layout.of([("w", (1,))]),
    metric=Metric("RMSE", "V", "sqrt", "persistence"),
)
START = 1_700_000_040.0  # a whole minute


def minutely(count: int) -> tuple[np.ndarray, np.ndarray]:
    """One reading a minute: channel a counts, channel b counts by tens."""
    n = np.arange(count)
    return START + 60.0 * n, np.stack([n, 10.0 * n], 1)


def test_a_bin_holds_the_mean_of_its_readings() -> None:
    times = START + np.array([0, 20, 59.9, 60, 130])
    values = np.array([[1, 10], [2, 20], [6, 0], [7, 70], [8, 80]], float)
    bins = bin_means(times, values, 60)
    np.testing.assert_allclose(bins.value, [[3, 10], [7, 70]])
    np.testing.assert_allclose(bins.time, [START + 79.9 / 3, START + 60])
    assert bins.index.tolist() == [START // 60, START // 60 + 1]


def test_the_newest_bin_is_left_out_because_it_may_still_fill() -> None:
    times, values = minutely(4)
    assert len(bin_means(times, values, 60).index) == 3
    later = bin_means(np.append(times, times[-1] + 30), np.vstack([values, [5, 50]]), 60)
    assert len(later.index) == 3


def test_a_failed_reading_leaves_the_mean_to_the_others() -> None:
    times = START + np.array([0, 20, 40, 60])
    values = np.array([[1, np.nan], [np.nan, 4], [3, 6], [0, 0]])
    np.testing.assert_allclose(bin_means(times, values, 60).value, [[2, 5]])


def test_a_bin_without_any_reading_of_one_channel_is_no_bin() -> None:
    times, values = minutely(5)
    values[2, 1] = np.nan
    assert (bin_means(times, values, 60).index - START // 60).tolist() == [0, 1, 3]


def test_readings_may_come_in_any_order() -> None:
    times, values = minutely(20)
    order = np.random.default_rng(0).permutation(20)
    expected, got = windows(times, values, MANIFEST), windows(times[order], values[order], MANIFEST)
    np.testing.assert_array_equal(got.inputs["x"], expected.inputs["x"])
    np.testing.assert_array_equal(got.targets["y"], expected.targets["y"])


def test_each_window_has_its_target_horizon_bins_after_its_last() -> None:
    built = windows(*minutely(9), MANIFEST)
    # 8 whole bins: windows end at 2, 3, 4, 5; targets are at 4, 5, 6, 7
    np.testing.assert_array_equal(built.inputs["x"][:, :, 0], [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]])
    np.testing.assert_array_equal(built.inputs["x"][:, :, 1], 10 * built.inputs["x"][:, :, 0])
    np.testing.assert_array_equal(built.targets["y"], [40, 50, 60, 70])
    np.testing.assert_array_equal(built.time, START + 60.0 * np.arange(4, 8))
    assert (built.inputs["x"].dtype, built.targets["y"].dtype) == (np.float32, np.float32)


def test_with_horizon_zero_the_target_is_the_windows_last() -> None:
    built = windows(*minutely(5), replace(MANIFEST, horizon=0))
    np.testing.assert_array_equal(built.targets["y"], built.inputs["x"][:, -1, 1])


def test_no_window_reaches_across_a_gap() -> None:
    times, values = minutely(12)
    keep = np.arange(12) != 5
    built = windows(times[keep], values[keep], MANIFEST)
    np.testing.assert_array_equal(built.inputs["x"][:, :, 0], [[0, 1, 2], [2, 3, 4], [6, 7, 8]])
    np.testing.assert_array_equal(built.targets["y"], [40, 60, 100])


def test_a_clock_that_jumps_by_decades_costs_no_memory_for_the_years_between() -> None:
    times, values = minutely(8)
    early = windows(np.append(times - START, times), np.vstack([values, values]), replace(MANIFEST, step_s=0.01, window=1, horizon=0))
    assert len(early) == 15


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_readings_give_no_window(count: int) -> None:
    built = windows(*minutely(count), MANIFEST)
    assert len(built) == 0
    assert built.inputs["x"].shape == (0, 3, 2)
    assert len(built.since(None)) == 0


def test_since_takes_windows_whose_target_came_later() -> None:
    built = windows(*minutely(9), MANIFEST)
    assert len(built.since(None)) == 4
    late = built.since(float(built.time[1]))
    np.testing.assert_array_equal(late.targets["y"], [60, 70])
    np.testing.assert_array_equal(late.inputs["x"], built.inputs["x"][2:])
    assert len(built.since(float(built.time[-1]))) == 0


def test_the_newest_windows_are_kept_within_the_budget() -> None:
    built = windows(*minutely(100), MANIFEST, budget=7 * 3 * 2 * 4)
    assert len(built) == 7
    assert built.targets["y"][-1] == 980


@given(data=st.data())
def test_every_window_is_found_that_a_plain_search_finds(data: st.DataObject) -> None:
    present = data.draw(st.lists(st.booleans(), min_size=1, max_size=40))
    window = data.draw(st.integers(1, 5))
    horizon = data.draw(st.integers(0, 6))
    times, values = minutely(len(present) + 1)
    keep = np.array([*present, True])
    built = windows(times[keep], values[keep], replace(MANIFEST, window=window, horizon=horizon))
    there = {i for i, flag in enumerate(present) if flag}
    ends = [i for i in range(len(present)) if all(j in there for j in range(i - window + 1, i + 1)) and i + horizon in there]
    assert built.inputs["x"][:, -1, 0].tolist() == ends
    assert built.targets["y"].tolist() == [10.0 * (i + horizon) for i in ends]


SEVERAL = replace(
    MANIFEST,
    declared=Interface(
        inputs=(Input("both", (3, 2), "float32", ("b", "a")), Input("lately", (2, 1), "int32", ("a",))),
        targets=(Target("ahead", (2,), "float32", "b", (0, 2)), Target("class", (), "int32", "a", (4,))),
        outputs=(Value("ahead", (2,), "float32"),),
    ),
)


def test_each_input_and_target_takes_its_own_bins_and_channels() -> None:
    times, values = minutely(10)
    values[5, 0] = 5.4  # it becomes a class by rounding
    built = windows(times, values, SEVERAL)
    assert len(built) == 3, "the furthest target decides"
    assert {name: (array.dtype, array.shape) for name, array in (built.inputs | built.targets).items()} == {
        "both": (np.float32, (3, 3, 2)),
        "lately": (np.int32, (3, 2, 1)),
        "ahead": (np.float32, (3, 2)),
        "class": (np.int32, (3,)),
    }
    np.testing.assert_array_equal(built.inputs["both"][1], [[10, 1], [20, 2], [30, 3]])
    np.testing.assert_array_equal(built.inputs["lately"][:, :, 0], [[1, 2], [2, 3], [3, 4]])
    np.testing.assert_array_equal(built.targets["ahead"], [[20, 40], [30, 50], [40, 60]])
    np.testing.assert_array_equal(built.targets["class"], [6, 7, 8])
    np.testing.assert_array_equal(built.time, times[[4, 5, 6]])
    np.testing.assert_array_equal(windows(*minutely(10), SEVERAL, budget=2 * SEVERAL.interface.nbytes).time, times[[5, 6]])


def test_parts_and_choices_keep_all_arrays_together() -> None:
    built = windows(*minutely(10), SEVERAL)
    assert [[len(part) for part in built.parts(rows)] for rows in (2, 3, 9)] == [[2, 1], [3], [3]]
    assert list(built[:0].parts(2)) == []
    chosen = built[np.array([True, False, True])]
    np.testing.assert_array_equal(chosen.time, built.time[[0, 2]])
    np.testing.assert_array_equal(chosen.inputs["both"], built.inputs["both"][[0, 2]])
    np.testing.assert_array_equal(chosen.targets["class"], built.targets["class"][[0, 2]])
