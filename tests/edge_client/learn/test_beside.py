"""What is done in the training thread beside training: after it, and never in its way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bramble_client.learn.pace import BrokenOff
from tests.edge_client.learn.training_bench import Bench, request
from tests.waiting import wait_for


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "outbox.db")) as made:
        yield made


class Work:
    """Goes on until a test lets it, or until it sees that something is to be trained."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.begun, self.finished, self.goes = 0, 0, threading.Event()

    def __call__(self) -> Callable[[], None]:
        self.begun += 1
        while not self.goes.wait(0.01):
            if not self._bench.training.spare:
                raise BrokenOff("not now")
        return self._finish

    def _finish(self) -> None:
        self.finished += 1


def test_it_waits_for_what_is_being_trained(bench: Bench) -> None:
    work = Work(bench)
    work.goes.set()
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.beside("small evaluation", work)
    bench.training.ask(request(2))
    bench.outcome.put(0.5)
    bench.wait_begun(2)
    assert work.begun == 0
    bench.outcome.put(0.5)
    wait_for(lambda: work.finished == 1, "the work")


def test_it_makes_room_for_a_request_and_is_done_anew_afterwards(bench: Bench) -> None:
    work = Work(bench)
    bench.training.beside("small evaluation", work)
    wait_for(lambda: work.begun == 1, "its beginning")
    bench.training.ask(request(1))
    bench.wait_begun(1)
    assert work.finished == 0
    work.goes.set()
    bench.outcome.put(0.5)
    wait_for(lambda: work.finished == 1, "the work")
    assert work.begun == 2
    assert bench.answer().payload["round"] == 1


def test_of_one_key_the_newest_alone_is_done(bench: Bench) -> None:
    former, work = Work(bench), Work(bench)
    former.goes.set()
    work.goes.set()
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.training.beside("small evaluation", former)
    bench.training.beside("small evaluation", work)
    bench.outcome.put(0.5)
    wait_for(lambda: work.finished == 1, "the work")
    assert former.begun == 0


@pytest.mark.parametrize("task", [None, "small"])
def test_after_a_reset_its_result_is_dropped(bench: Bench, task: str | None) -> None:
    work, other = Work(bench), Work(bench)
    other.goes.set()
    bench.training.beside("small evaluation", work)
    wait_for(lambda: work.begun == 1, "its beginning")
    bench.training.forget(lambda: None, task)
    work.goes.set()
    bench.training.beside("other evaluation", other)
    wait_for(lambda: other.finished == 1, "what came after")
    assert work.finished == 0


def test_a_failure_of_it_harms_no_training(bench: Bench) -> None:
    bench.training.beside("small evaluation", lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    bench.training.ask(request(1))
    bench.wait_begun(1)
    bench.outcome.put(0.5)
    assert bench.answer().event == "training_complete"
