"""What a person said becomes the channel ``label``: class numbers from when on somebody said so, and nothing where nobody did."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bramble_client.acquire.recorder import Recorder
from bramble_client.learn.labels import UnknownLabels, labelled
from bramble_client.machine.exchange import Exchange, Question
from bramble_protocol.graph import Manifest
from bramble_protocol.kinds import Kind
from tests.protocol.test_kinds import ACTIVITY, ROOM

TIMES = np.arange(6.0)
KEYS = ("acceleration_x", "label")
NAN = np.nan


def readings(keys: Sequence[str], since: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return TIMES, np.column_stack([TIMES, np.full(6, NAN)])[:, : len(keys)]


def column(said: Sequence[tuple[float, str]], manifest: Manifest = ACTIVITY) -> list[float]:
    _, values = labelled(readings, lambda: said, manifest)(KEYS, None)
    np.testing.assert_array_equal(values[:, 0], TIMES)
    return list(values[:, 1])


def test_a_label_holds_from_its_time_until_the_next() -> None:
    np.testing.assert_equal(column([(1.0, "walk"), (3.5, "sit")]), [NAN, 1, 1, 1, 0, 0])


def test_none_of_the_classes_ends_a_label() -> None:
    np.testing.assert_equal(column([(0.0, "run"), (2.0, ""), (4.0, "sit")]), [2, 2, NAN, NAN, 0, 0])


def test_an_answer_labels_the_window_that_was_asked_about_until_the_press() -> None:
    exchange = Exchange(("sit", "walk", "run"))
    exchange.ask(Question(1.0, (2, 1, 0)), 3.0)
    said = [(saying.t, saying.label) for saying in exchange.pressed(3.5, long=False)]
    np.testing.assert_equal(column(said), [NAN, 2, 2, 2, NAN, NAN])


def test_where_nobody_spoke_a_recordings_own_label_stays() -> None:
    def recorded(keys: Sequence[str], since: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return TIMES, np.column_stack([TIMES, np.full(6, 2.0)])

    _, values = labelled(recorded, lambda: [(3.0, "sit")], ACTIVITY)(KEYS, None)
    assert list(values[:, 1]) == [2, 2, 2, 0, 0, 0]


@pytest.mark.parametrize(
    "manifest", [ROOM, dataclasses.replace(ACTIVITY, kind=Kind("classify", ("low", "high"), (1.0,)))], ids=["room", "rule"]
)
def test_a_task_whose_classes_nobody_names_reads_what_was_measured(manifest: Manifest) -> None:
    assert labelled(readings, lambda: [(0.0, "nonsense")], manifest) is readings


def test_labels_that_are_other_classes_than_the_tasks_are_refused_by_name_with_those_that_there_are() -> None:
    with pytest.raises(
        UnknownLabels, match=r"'jump', 'swim' are not among the classes of task \w+ \(sit, walk, run\); name them as it does"
    ):
        column([(0.0, "swim"), (1.0, "jump"), (2.0, "")])


def test_of_labels_some_of_which_are_unknown_the_others_count_and_the_log_names_them(caplog: pytest.LogCaptureFixture) -> None:
    np.testing.assert_equal(column([(0.0, "swim"), (2.0, "run")]), [NAN, NAN, 2, 2, 2, 2])
    [sentence] = caplog.messages
    assert sentence.startswith("labels: 'swim' is not among the classes of task")
    assert sentence.endswith("what was labelled so is not trained on")


def test_a_recorders_labels_are_what_is_read(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "readings.db", 100)
    recorder.append_many([(t, {"acceleration_x": t}) for t in TIMES.tolist()])
    for t, label in ((2.0, "walk"), (4.0, "")):
        recorder.label(t, label)
    _, values = labelled(recorder.columns, recorder.labels, ACTIVITY)(KEYS, None)
    np.testing.assert_equal(values[:, 1], [NAN, NAN, 1, 1, NAN, NAN])
    recorder.close()
