"""Which readings a client was trained on when a model was made, in a real recorder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_client.acquire.recorder import Recorder
from bramble_client.learn.memory import Memory
from bramble_client.learn.trained_rounds import MOST, TrainedRounds


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "readings.db", 10_000)
    made.append_many([(float(t), {"temperature": 20.0}) for t in range(1000)])
    yield made
    made.close()


@pytest.fixture
def trained(recorder: Recorder) -> TrainedRounds:
    return Memory(recorder).trained


def test_a_model_was_trained_on_what_was_trained_up_to_its_round_and_no_later_one(recorder: Recorder, trained: TrainedRounds) -> None:
    for number, until in ((3, 30.0), (5, 50.0), (8, 80.0)):
        trained.note("a", number, until)
    again = Memory(recorder).trained
    assert [again.until("a", number) for number in (0, 2, 3, 4, 5, 7, 8, 100)] == [None, None, 30.0, 30.0, 50.0, 50.0, 80.0, 80.0]
    assert again.until("a") == 80.0
    assert again.until("b") is None


def test_a_server_that_counts_anew_takes_the_place_of_its_own_later_rounds(trained: TrainedRounds) -> None:
    for number, until in ((3, 30.0), (50, 500.0), (1, 510.0), (2, 520.0)):
        trained.note("a", number, until)
    assert [trained.until("a", number) for number in (0, 1, 2, 60)] == [None, 510.0, 520.0, 520.0]


def test_of_rounds_long_ago_no_window_is_taken_for_new_that_was_trained_on(trained: TrainedRounds) -> None:
    for number in range(1, MOST + 5):
        trained.note("a", number, 10.0 * number)
    assert trained.until("a", MOST + 4) == 10.0 * (MOST + 4)
    assert trained.until("a", 7) == 70.0
    found = trained.until("a", 1)
    assert found is not None
    assert found >= 10.0


def test_what_a_release_left_that_noted_no_rounds_counts_as_trained_for_all(recorder: Recorder) -> None:
    recorder.update({"tested_until": "200.0"})
    memory = Memory(recorder)
    assert memory.trained.until("a", 1) == 200.0
    memory.trained.note("a", 9, 300.0)
    assert [memory.trained.until("a", number) for number in (1, 8, 9)] == [200.0, 200.0, 300.0]


def test_a_clock_that_was_ahead_is_corrected_here_too(recorder: Recorder, trained: TrainedRounds) -> None:
    trained.note("a", 1, 400.0)
    trained.note("a", 2, 900.0)
    recorder.forget_from(500.0)
    recorder.append_many([(float(t), {"temperature": 20.0}) for t in range(500, 2000)])
    found = trained.until("a", 2)
    assert found is not None
    assert 499.0 < found < 500.0
    assert trained.until("a", 1) == 400.0


def test_a_reset_forgets_it_and_one_task_alone_leaves_the_others(recorder: Recorder) -> None:
    memory = Memory(recorder)
    for task in ("a", "b"):
        memory.trained.note(task, 1, 10.0)
        memory.trained.score(task, 20.0)
    memory.forget("a")
    assert (memory.trained.until("a"), memory.trained.scored_until("a")) == (None, None)
    assert (memory.trained.until("b"), memory.trained.scored_until("b")) == (10.0, 20.0)
    memory.forget()
    assert (memory.trained.until("b"), memory.trained.scored_until("b")) == (None, None)


def test_a_damaged_note_is_no_note(recorder: Recorder, trained: TrainedRounds) -> None:
    recorder.update({"trained_rounds": "[1"})
    assert trained.until("a", 1) is None
    trained.note("a", 2, 20.0)
    assert trained.until("a", 2) == 20.0
