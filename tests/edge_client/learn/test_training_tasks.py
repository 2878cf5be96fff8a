"""Requests of several tasks: they wait in order, and one task's do not touch another's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bramble_client.learn.trainer import BrokenOff
from bramble_client.learn.training_queue import MOST_WAITING
from tests.edge_client.learn.training_bench import Bench, request


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "outbox.db")) as made:
        yield made


def test_requests_of_other_tasks_wait_in_order_and_break_nothing_off(bench: Bench) -> None:
    for number, task in ((1, "a"), (2, "b"), (3, "c")):
        bench.training.ask(request(number, task=task))
    bench.wait_begun(1)
    assert bench.training.wanted
    bench.training.ask(request(4, task="b"))
    bench.outcome.put(0.5)
    bench.wait_begun(4)
    assert [item.payload["round"] for task in "abc" if (item := bench.outbox.answer(task))] == [1]
    bench.outcome.put(0.5)
    bench.wait_begun(3)
    bench.outcome.put(0.5)
    bench.wait_idle()
    assert [item.payload["round"] for task in "abc" if (item := bench.outbox.answer(task))] == [1, 4, 3]


def test_a_newer_request_of_the_same_task_breaks_its_run_off_and_waits_behind_the_others(bench: Bench) -> None:
    bench.training.ask(request(1, task="a"))
    bench.wait_begun(1)
    bench.training.ask(request(2, task="b"))
    bench.training.ask(request(3, task="a"))
    assert not bench.training.wanted
    bench.outcome.put(BrokenOff("broken off"))
    bench.wait_begun(2)
    assert bench.training.wanted
    bench.outcome.put(0.5)
    bench.wait_begun(3)
    bench.outcome.put(0.5)
    bench.wait_idle()
    assert bench.runs == 3


@pytest.mark.parametrize(("task", "left"), [("a", ["b"]), ("b", ["a"])])
def test_a_reset_of_one_task_leaves_the_other_alone(bench: Bench, task: str, left: list[str]) -> None:
    bench.training.ask(request(1, task="a"))
    bench.wait_begun(1)
    bench.training.ask(request(2, task="b"))
    bench.training.forget(lambda: bench.outbox.clear(task), task)
    bench.outcome.put(0.5)
    if task == "a":
        bench.wait_begun(2)
        bench.outcome.put(0.5)
    bench.wait_idle()
    assert [name for name in "ab" if bench.outbox.answer(name)] == left


def test_a_task_that_fails_is_not_forgotten_for_another_that_does_not(bench: Bench) -> None:
    bench.training.ask(request(1, task="a"))
    bench.outcome.put(RuntimeError("odd"))
    bench.wait_begun(1)
    bench.wait_idle()
    bench.training.ask(request(2, task="b"))
    bench.wait_begun(2)
    bench.outcome.put(0.5)
    bench.wait_idle()
    assert bench.training.failing
    bench.training.forget(lambda: None, "a")
    assert not bench.training.failing


def test_of_too_many_tasks_one_more_is_told_so(bench: Bench) -> None:
    bench.training.ask(request(1))
    bench.wait_begun(1)
    for number in range(MOST_WAITING):
        bench.training.ask(request(2 + number, task=f"t{number}"))
    bench.training.ask(request(99, task="one-more"))
    assert "busy" in bench.answer().payload["reason"]
    bench.training.forget(lambda: None)
