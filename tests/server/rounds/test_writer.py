"""The one writer, on plain threads: order, replies, group commit, the clock, and that nothing kills it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bramble_protocol.errors import BrambleError
from bramble_server.rounds import writer as writers
from bramble_server.rounds.writer import InternalError, Reply, Writer
from bramble_server.store import Store, meta
from tests.server.database import migrated
from tests.server.office import Threads
from tests.waiting import wait_for


class House:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.when: float | None = None
        self.ticked = 0
        self.tick: Callable[[], None] = lambda: None
        self.writer = Writer(store, Threads(), lambda: self.when, self._tick)

    def _tick(self) -> None:
        self.ticked += 1
        self.when = None
        self.tick()

    def together(self, *jobs: Callable[[], Any]) -> list[Any]:
        """Queue jobs while the writer is busy, so that it finds them all at once; return results or errors in their order."""
        busy, gate, results = threading.Event(), threading.Event(), [None] * len(jobs)
        self.writer.post(lambda _: busy.set() or gate.wait(30))
        assert busy.wait(30)

        def call(index: int, job: Callable[[], Any]) -> None:
            try:
                results[index] = job()
            except BrambleError as error:
                results[index] = error  # type: ignore[call-overload]

        threads = []
        for index, job in enumerate(jobs):
            thread = threading.Thread(target=call, args=(index, job))
            thread.start()
            threads.append(thread)
            wait_for(lambda index=index: self.writer._jobs.qsize() == index + 1, "the job to be queued")
        gate.set()
        for thread in threads:
            thread.join(30)
        return results


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    store = Store(migrated(tmp_path))
    house = House(store)
    house.writer.start()
    yield house
    house.writer.stop(lambda _: None, 30.0)
    store.close()


def test_a_job_is_answered_with_what_it_returns_or_raises(house: House) -> None:
    assert house.writer.submit(lambda _: 42) == 42

    def refuse(_: Reply) -> None:
        raise BrambleError("no, because")

    with pytest.raises(BrambleError, match="no, because"):
        house.writer.submit(refuse)


def test_the_first_answer_counts_and_may_come_before_the_job_is_done(house: House) -> None:
    done = threading.Event()

    def work(reply: Reply) -> str:
        reply.answer("early")
        done.wait(30)
        return "late"

    assert house.writer.submit(work) == "early"
    done.set()
    reply = Reply(threading.Event())
    reply.fail(BrambleError("first"))
    reply.answer("second")
    with pytest.raises(BrambleError, match="first"):
        reply.wait()


def test_a_bug_is_logged_with_its_traceback_and_the_writer_goes_on(house: House, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InternalError, match="its log says why"):
        house.writer.submit(lambda _: 1 // 0)
    assert "ZeroDivisionError" in caplog.text
    assert house.writer.submit(lambda _: "alive") == "alive"


def test_jobs_run_in_the_order_in_which_they_came(house: House) -> None:
    order: list[int] = []
    house.together(*[lambda n=n: house.writer.submit(lambda _: order.append(n)) for n in range(20)])
    assert order == list(range(20))


def test_writes_that_meet_share_one_commit(house: House) -> None:
    transactions: set[int] = set()

    def work(connection: Connection, number: int) -> int:
        transactions.add(id(connection.get_transaction()))
        meta.put(connection, f"n{number}", number)
        return number

    results = house.together(*[lambda n=n: house.writer.write(lambda c: work(c, n), lambda: None) for n in range(10)])
    assert results == list(range(10))
    assert len(transactions) == 1
    with house.store.reading() as connection:
        assert [meta.get(connection, f"n{n}") for n in range(10)] == list(range(10))


def test_one_bad_write_spoils_none_of_those_that_share_its_commit(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def put(number: int) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            meta.put(connection, f"n{number}", number)
            if number == 3:
                raise BrambleError("not this one")
            if number == 4:
                raise ZeroDivisionError
            return number

        return work

    results = house.together(*[lambda n=n: house.writer.write(put(n), lambda: None) for n in range(6)])
    assert [str(result) for result in results] == ["0", "1", "2", "not this one", "the server could not store that, its log says why", "5"]
    with house.store.reading() as connection:
        assert [meta.get(connection, f"n{n}") for n in range(6)] == [0, 1, 2, None, None, 5]


def test_what_follows_a_write_runs_once_it_is_on_the_disk(house: House) -> None:
    seen: list[Any] = []

    def then() -> None:
        with house.store.reading() as connection:
            seen.append(meta.get(connection, "fact"))

    house.writer.write(lambda connection: meta.put(connection, "fact", 7), then)
    house.writer.submit(lambda _: None)
    assert seen == [7]


def test_the_clocks_work_runs_when_it_is_due(house: House) -> None:
    house.when = 0.05
    house.writer.submit(lambda _: None)
    wait_for(lambda: house.ticked == 1 or setattr(house, "when", 0.0), "the tick")


def test_clock_work_that_fails_is_logged_and_tried_again_without_a_rush(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "PAUSE", 0.05)

    def fail() -> None:
        house.when = 0.0
        if house.ticked < 3:
            raise RuntimeError("broken clock")
        house.when = None

    house.tick, house.when = fail, 0.0
    house.writer.submit(lambda _: None)
    wait_for(lambda: house.ticked == 3, "three tries")
    assert caplog.text.count("the clock's work failed and is tried again") == 1
    assert house.writer.submit(lambda _: "alive") == "alive"


def test_what_comes_after_the_end_is_refused_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    store = Store(migrated(tmp_path))
    house = House(store)
    house.writer.start()
    ended: list[str] = []
    house.writer.stop(lambda _: ended.append("last words"), 30.0)
    assert ended == ["last words"]
    with pytest.raises(InternalError, match="stopping"):
        house.writer.submit(lambda _: 1)
    with pytest.raises(InternalError, match="stopping"):
        house.writer.write(lambda _: 1, lambda: None)
    store.close()


class Shelf:
    """Awaits so many things, and notes which came together."""

    def __init__(self, awaited: int) -> None:
        self.awaited, self.puts = awaited, list[list[str]]()
        self.asked = threading.Event()

    def awaits(self, count: int) -> bool:
        self.asked.set()
        return count < self.awaited

    def foresee(self, count: int) -> None:
        pass

    def put(self, items: list[str]) -> bool:
        self.puts.append(items)
        return True

    def secure(self) -> None:
        pass


def test_what_is_awaited_a_moment_shares_one_visit_and_nothing_waits_for_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "TOGETHER", 30.0)
    shelf = Shelf(2)
    first = threading.Thread(target=house.writer.take, args=("a", shelf, lambda _: None))
    first.start()
    assert shelf.asked.wait(30)
    house.writer.take("b", shelf, lambda _: None)
    first.join(30)
    monkeypatch.setattr(writers, "TOGETHER", 0.001)
    house.writer.take("c", shelf, lambda _: None)
    assert shelf.puts == [["a", "b"], ["c"]]
