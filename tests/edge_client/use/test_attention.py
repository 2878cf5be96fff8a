"""Alarms above the fleet's threshold, and questions about what a model is unsure of: which answers call for which."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from bramble_client.machine.exchange import Question
from bramble_client.use.attention import ASKED, Attention
from bramble_client.use.inference import Inference
from bramble_client.use.received import Received
from bramble_protocol.graph import Manifest
from tests.protocol.test_kinds import ACTIVITY, ANOMALY, ROOM

END = 1_700_000_000.0
UNSURE = [0.3, 0.36, 0.34]


def told(attention: Attention, manifest: Manifest, first: Any, threshold: float | None = None, task: str = "it") -> None:
    model = Received("0" * 64, 1, manifest.layout, np.zeros(manifest.layout.size, np.float32), None, threshold)
    attention.told(task, model, manifest, Inference(END, END, "global", {manifest.interface.outputs[0].name: first}))


@pytest.fixture
def asked() -> list[Question]:
    return []


class Notebook(dict[str, Any]):
    """What a client keeps over a restart."""

    def set(self, name: str, value: str | None) -> None:
        self[name] = value


def attention(asked: list[Question], classes: tuple[str, ...] = ("walk", "sit", "run"), **options: Any) -> Attention:
    made = Attention(classes, **{"daily": 10, "labels": tuple, "notes": Notebook(), **options})
    made.ask = asked.append
    return made


def test_an_error_above_the_threshold_is_an_alarm_until_one_is_not_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    made, seen = attention([]), []
    for error in (0.5, 1.5, 2.5, 1.0, 3.0):
        told(made, ANOMALY, error, 1.0)
        seen.append((made.alarming, made.alarms))
    assert seen == [(False, 0), (True, 1), (True, 2), (False, 2), (True, 3)]
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == ["WARNING"] * 2
    assert "alarm of it: an error of 1.5, where the fleet's threshold is 1" in caplog.text


def test_without_a_threshold_nothing_is_an_alarm_and_nothing_is_counted() -> None:
    made = attention([])
    told(made, ANOMALY, 1e9)
    assert (made.alarming, made.alarms) == (False, None)


def test_an_alarm_of_one_task_does_not_end_by_anothers_calm_and_a_reset_of_it_forgets_it() -> None:
    made = attention([])
    told(made, ANOMALY, 2.0, 1.0, "one")
    told(made, ANOMALY, 0.5, 1.0, "other")
    assert made.alarming
    made.forget("other")
    assert made.alarming
    made.forget("one")
    assert not made.alarming


def test_a_person_is_asked_about_the_whole_window_in_the_buttons_numbers_the_most_probable_first(asked: list[Question]) -> None:
    told(attention(asked), ACTIVITY, UNSURE)
    begins = (END // ACTIVITY.step_s - ACTIVITY.window + 1) * ACTIVITY.step_s
    # the task's classes are sit, walk, run; the button's walk, sit, run
    assert asked == [Question(begins, (0, 2, 1))]


def test_classes_that_the_button_cannot_name_are_not_offered_and_a_single_one_is_no_question(asked: list[Question]) -> None:
    told(attention(asked, ("run", "sit")), ACTIVITY, UNSURE)
    told(attention(asked, ("run", "jump")), ACTIVITY, UNSURE)
    assert [question.order for question in asked] == [(0, 1)]


def test_who_says_what_is_going_on_is_not_asked(asked: list[Question]) -> None:
    told(attention(asked, labels=lambda: [(0.0, "walk")]), ACTIVITY, UNSURE)
    assert asked == []
    told(attention(asked, labels=lambda: [(0.0, "walk"), (1.0, "")]), ACTIVITY, UNSURE)
    assert len(asked) == 1


def test_forecasts_and_classes_by_a_rule_ask_nobody(asked: list[Question]) -> None:
    told(attention(asked), ROOM, 20.0)
    rule = dataclasses.replace(ACTIVITY, kind=dataclasses.replace(ACTIVITY.kind, edges=(1.0, 2.0)))
    told(attention(asked), rule, UNSURE)
    assert asked == []


@pytest.mark.parametrize(("kept", "more"), [(None, 0), ("damaged", 2), ("1 2 3", 2)])
def test_a_days_count_outlives_a_restart(asked: list[Question], kept: str | None, more: int) -> None:
    notes = Notebook()
    for _ in range(3):
        told(attention(asked, daily=2, notes=notes), ACTIVITY, UNSURE)
    assert len(asked) == 2
    if kept:
        notes[ASKED] = kept
    for _ in range(2):
        told(attention(asked, daily=2, notes=notes), ACTIVITY, UNSURE)
    assert len(asked) == 2 + more
