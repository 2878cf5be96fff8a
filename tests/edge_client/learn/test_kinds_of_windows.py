"""Windows of tasks that classify, reconstruct, or take what channels there are; and what a client counts of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bramble_client.learn.classes import NoSuchClass
from bramble_client.learn.counting import counts, histogram
from bramble_client.learn.measures import guarded
from bramble_client.learn.trainer import Result
from bramble_client.learn.windows import windows
from bramble_protocol.interface import Input, Interface, Target
from bramble_protocol.kinds import BINS, Kind
from bramble_protocol.messages import Channel, Timing, TrainingComplete
from tests.edge_client.learn.test_windows import MANIFEST, START, minutely
from tests.protocol.test_kinds import ACTIVITY, ANOMALY, FAULTY, ROOM

NAN = np.nan
EITHER = replace(
    MANIFEST,
    channels=(Channel("a", "V"), Channel("b", "V")),
    target="a",
    horizon=2,
    optional=("b",),
    declared=Interface(
        inputs=(Input("past", (3, 2), "float32", ("a", "b")), Input("there", (3, 1), "float32", ("b",), mask=True)),
        targets=(
            Target("a", (), "float32", "a", (2,)),
            Target("b", (), "float32", "b", (2,)),
            Target("known", (), "float32", "b", (2,), mask=True),
        ),
        outputs=ROOM.interface.outputs,
        measured=("a", "b"),
    ),
)
STATES = replace(
    MANIFEST,
    channels=(Channel("a", "V"), Channel("label", "")),
    target="label",
    horizon=0,
    kind=Kind("classify", ("off", "on")),
    declared=Interface(
        inputs=(Input("past", (3, 1), "float32", ("a",)),),
        targets=(Target("label", (), "int32", "label", (0,)),),
        outputs=ACTIVITY.interface.outputs,
    ),
)


def labelled(*labels: float) -> tuple[np.ndarray, np.ndarray]:
    """One reading a minute, each with a label; one more, in the bin that still fills."""
    times, values = minutely(len(labels) + 1)
    values[:, 1] = [*labels, NAN]
    return times, values


def test_a_client_without_a_channel_that_it_may_lack_has_windows_with_zeros_and_a_mask() -> None:
    times, values = minutely(9)
    values[:, 1] = NAN
    found = windows(times, values, EITHER)
    assert len(found) == 4
    np.testing.assert_array_equal(found.inputs["past"][:, :, 0], [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]])
    for part in (found.inputs["past"][:, :, 1], found.inputs["there"], found.targets["b"], found.targets["known"]):
        assert not part.any()


def test_a_channel_that_is_missing_now_and_then_is_masked_there_alone() -> None:
    times, values = minutely(9)
    values[[1, 6], 1] = NAN
    found = windows(times, values, EITHER)
    np.testing.assert_array_equal(found.inputs["there"][:, :, 0], [[1, 0, 1], [0, 1, 1], [1, 1, 1], [1, 1, 1]])
    np.testing.assert_array_equal(found.inputs["past"][:, :, 1], [[0, 0, 20], [0, 20, 30], [20, 30, 40], [30, 40, 50]])
    np.testing.assert_array_equal(found.targets["known"], [1, 1, 0, 1])
    np.testing.assert_array_equal(found.targets["b"], [40, 50, 0, 70])


def test_a_channel_that_must_be_there_still_makes_no_bin_without_a_reading() -> None:
    times, values = minutely(9)
    values[4, 0] = NAN
    np.testing.assert_array_equal(windows(times, values, EITHER).inputs["past"][:, :, 0], [[1, 2, 3]])


def test_windows_end_at_bins_whose_number_the_stride_divides_however_much_is_recorded() -> None:
    times, values = minutely(31)
    strided = replace(EITHER, stride=5)
    ends = START // 60 + windows(times, values, strided).inputs["past"][:, -1, 0].astype(float)
    assert ends.size == 5
    assert not (ends % 5).any()
    later = START // 60 + windows(times[7:], values[7:], strided).inputs["past"][:, -1, 0].astype(float)
    assert set(later) <= set(ends)
    assert later.size == 4, later


def test_a_window_over_which_the_class_changes_or_that_has_none_is_left_out() -> None:
    found = windows(*labelled(0, 0, 0, 0, 1, 1, 1, NAN, 1, 1, 1), STATES)
    np.testing.assert_array_equal(found.inputs["past"][:, -1, 0], [2, 3, 6, 10])
    np.testing.assert_array_equal(found.targets["label"], [0, 0, 1, 1])
    assert found.targets["label"].dtype == np.int32


def test_a_bin_with_two_classes_has_none() -> None:
    three = replace(STATES, kind=Kind("classify", ("off", "half", "on")))
    times, values = labelled(1, 1, 1, 1)
    more = np.array([times[3] + 20, times[3] + 40]), np.array([[3.0, 0.0], [3.0, 2.0]])
    together = np.concatenate([times, more[0]]), np.vstack([values, more[1]])
    assert len(windows(times, values, three)) == 2
    assert len(windows(*together, three)) == 1, "0, 1 and 2 are 1 in the mean"


def test_who_never_said_anything_has_no_window_and_no_fault() -> None:
    assert len(windows(*labelled(*[NAN] * 9), STATES)) == 0


@pytest.mark.parametrize("odd", [2.0, -1.0, 0.5])
def test_a_label_that_is_no_class_is_refused_with_the_classes(odd: float) -> None:
    with pytest.raises(NoSuchClass, match=rf"label: {odd:g} is no class of task test; its classes are 0 off, 1 on: correct the labels"):
        windows(*labelled(0, 0, odd, 1), STATES)


def test_a_rule_makes_a_class_of_any_measure() -> None:
    warm = replace(STATES, kind=Kind("classify", ("cold", "mild", "warm"), (15.0, 20.0)))
    found = windows(*labelled(3, 4, 5, 15, 16, 19.9, 20, 21, 22), warm)
    np.testing.assert_array_equal(found.targets["label"], [0, 1, 2])


def test_a_class_ahead_need_not_be_that_of_the_window() -> None:
    ahead = replace(STATES, horizon=2, declared=replace(STATES.interface, targets=(Target("label", (), "int32", "label", (2,)),)))
    found = windows(*labelled(0, 1, NAN, NAN, 1, 0, NAN), ahead)
    np.testing.assert_array_equal(found.targets["label"], [1, 0])


def test_what_is_reconstructed_needs_no_target_and_is_dated_by_its_last_bin() -> None:
    plain = replace(ANOMALY, channels=EITHER.channels, step_s=60.0, target="a", window=3, declared=replace(
        ANOMALY.interface, inputs=(Input("past", (3, 2), "float32", ("a", "b")),)))  # fmt: skip
    found = windows(*minutely(9), plain)
    assert found.targets == {}
    np.testing.assert_array_equal(found.time, START + 60.0 * np.arange(2, 8))


class Said:
    """A graph whose first output is what the test says."""

    signatures = ("infer", "evaluate")

    def __init__(self, name: str, rows: np.ndarray, **means: float) -> None:
        self.name, self.rows = name, rows
        self.means = {name: np.float32(mean) for name, mean in means.items()}

    def __call__(self, signature: str, **given: Any) -> dict[str, Any]:
        if signature == "evaluate":
            return {name: np.asarray(mean) for name, mean in self.means.items()}
        first = np.rint(given["past"][:, -1, 0]).astype(int)
        return {self.name: self.rows[first].astype(np.float32)}


def test_a_confusion_matrix_counts_true_classes_by_row() -> None:
    found = windows(*labelled(0, 0, 0, 0, 1, 1, 1, 1), replace(STATES, kind=Kind("classify", ("off", "on", "never"))))
    rows = np.eye(3)[[0, 0, 0, 1, 0, 0, 1, 2]]  # what is said of windows ending at 2, 3, 6, 7 is 0, 1, 1, 2
    manifest = replace(STATES, kind=Kind("classify", ("off", "on", "never")))
    assert counts(Said("probability", rows), manifest, found, found, {}) == {"confusion": (1, 1, 0, 0, 1, 1, 0, 0, 0)}


def test_errors_are_counted_by_size_and_known_faults_apart() -> None:
    manifest = replace(FAULTY, channels=STATES.channels, target="a", step_s=60.0, window=3, declared=replace(
        FAULTY.interface, inputs=(Input("past", (3, 1), "float32", ("a",)),)))  # fmt: skip
    data = windows(*labelled(0, NAN, 0, 1, NAN, NAN), manifest)
    np.testing.assert_array_equal(data.targets["fault"], [0, 1, 0, 0])
    errors = np.array([9, 9, 1e-9, 5e8, 1.0, 1.2])
    found = counts(Said("score", errors), manifest, data, data, {})
    assert set(found) == {"fresh", "all", "faults"}
    assert [i for i, n in enumerate(found["fresh"]) if n] == [0, 97, 98]
    assert (sum(found["fresh"]), sum(found["faults"]), found["faults"][-1]) == (3, 1, 1)


def test_no_error_is_lost_from_a_histogram() -> None:
    counted = histogram(np.array([0.0, np.nan, np.inf, 1.1e-6, 0.9e-6, 1e6, 3.0], np.float32))
    assert counted.shape == (BINS,)
    assert counted.sum() == 7
    assert (counted[0], counted[-1]) == (2, 3)


def test_a_target_is_measured_over_the_windows_in_which_it_is_known() -> None:
    times, values = minutely(9)
    values[6, 1] = NAN
    found = windows(times, values, EITHER)
    means = {"error_a": 2.0, "baseline_a": 3.0, "error_b": 5.0, "baseline_b": 7.0}
    assert counts(Said("", np.zeros(0), **means), EITHER, found, found, {}) == {"target.a": (4, 8, 12), "target.b": (3, 15, 21)}
    values[:, 1] = NAN
    lacking = windows(times, values, EITHER)
    assert set(counts(Said("", np.zeros(0), **means), EITHER, lacking, lacking, {})) == {"target.a"}


def test_in_private_mode_counts_wait_until_they_are_over_twenty_windows() -> None:
    def ran(**counted: tuple[float, ...]) -> Result:
        complete = TrainingComplete(1, MANIFEST.layout, "float32", np.zeros(1, np.float32), 30, {}, Timing(0, 0, 0), counts=counted)
        return Result(complete, [], 0.0)

    first = guarded(ran(confusion=(10.0, 2.0, 0.0, 3.0), all=(5.0,)), None)
    assert first.complete.counts == {}
    second = guarded(ran(confusion=(1.0, 1.0, 1.0, 2.0), all=(25.0,)), first.untold)
    assert second.complete.counts == {"confusion": (11.0, 3.0, 1.0, 5.0), "all": (25.0,)}
    assert second.untold is None
