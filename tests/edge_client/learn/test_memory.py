"""What a client remembers of each task's runs, in a real recorder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_client.acquire.recorder import TESTED_UNTIL, Recorder
from bramble_client.learn.local_state import LOCAL_STATE
from bramble_client.learn.measures import UNTOLD
from bramble_client.learn.memory import MOST, Memory


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "readings.db", 1000)
    made.append_many([(float(t), {"temperature": 20.0}) for t in range(100)])
    yield made
    made.close()


def note(until: float) -> dict[str, object]:
    return {"tested_until": until, "untold": f"untold {until}", "layer_state": f"state {until}"}


def remembered(memory: Memory, task: str) -> tuple[float | None, str | None, str | None]:
    return memory.tested_until(task), memory.untold(task), memory.local_state(task)


def test_each_task_has_its_own(recorder: Recorder) -> None:
    memory = Memory(recorder)
    memory.note("a", note(10.0))
    memory.note("b", note(20.0))
    again = Memory(recorder)
    assert remembered(again, "a") == (10.0, "untold 10.0", "state 10.0")
    assert remembered(again, "b") == (20.0, "untold 20.0", "state 20.0")
    assert remembered(again, "c") == (None, None, None)


def test_what_a_release_of_one_task_left_is_the_first_tasks_and_it_finds_it_again(recorder: Recorder) -> None:
    recorder.update({TESTED_UNTIL: "5.0", UNTOLD: "u", LOCAL_STATE: "s"})
    memory = Memory(recorder)
    assert remembered(memory, "a") == (5.0, "u", "s")
    memory.note("a", note(10.0))
    memory.note("b", note(20.0))
    assert [recorder.get(name) for name in (TESTED_UNTIL, UNTOLD, LOCAL_STATE)] == ["10.0", "untold 10.0", "state 10.0"]


@pytest.mark.parametrize(("task", "left"), [("a", "b"), ("b", "a")])
def test_one_task_is_forgotten_alone(recorder: Recorder, task: str, left: str) -> None:
    memory = Memory(recorder)
    memory.note("a", note(10.0))
    memory.note("b", note(20.0))
    before = remembered(memory, left)
    memory.forget(task)
    assert remembered(memory, task) == (None, None, None)
    assert remembered(memory, left) == before
    memory.forget()
    assert remembered(memory, left) == (None, None, None)


def test_a_clock_that_ran_ahead_is_set_right_for_every_task(recorder: Recorder) -> None:
    memory = Memory(recorder)
    memory.note("a", note(60.0))
    memory.note("b", note(80.0))
    recorder.forget_from(50.0)
    recorder.append_many([(90.0, {"temperature": 20.0})])
    assert all((until := memory.tested_until(task)) is not None and until < 50.0 for task in "ab")


def test_of_too_many_tasks_those_that_were_noted_longest_ago_are_forgotten_and_never_the_first(recorder: Recorder) -> None:
    memory = Memory(recorder)
    for number in range(MOST + 3):
        memory.note(f"t{number}", note(float(number)))
    kept = [number for number in range(MOST + 3) if memory.tested_until(f"t{number}") is not None]
    assert kept == [0, *range(4, MOST + 3)]


def test_what_was_for_another_fleet_s_server_is_forgotten_and_what_was_tested_is_not(recorder: Recorder) -> None:
    memory = Memory(recorder)
    memory.note("a", note(10.0))
    memory.note("b", note(20.0))
    memory.forget_untold()
    assert [remembered(memory, task) for task in "ab"] == [(10.0, None, None), (20.0, None, None)]
