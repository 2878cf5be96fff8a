"""A small round ends, and the one that follows at once is opened, in one visit to a thread: one transaction, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bramble_protocol.errors import BrambleError
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds.commits import Commits
from bramble_server.rounds.writer import Reply
from bramble_server.store import Store
from tests.server.office import Office, Threads
from tests.server.process import LAYOUT

Start = Callable[..., Office]
WITH_MOMENTUM = [4.21 - 0.81 * index for index in range(LAYOUT.size)]
"""Weights after three rounds from 0, 1, 2 ... whose clients answer 1, 2 and 2.5: ``v <- 0.9 v + mean - w``, ``w <- w + v``."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server, on the data of the one before, which has died, with two clients."""
    started: list[Office] = []

    def start_one(**settings: Any) -> Office:
        if started and started[-1].coordinator._writer._task.is_alive():
            started[-1].die()
        elif started:
            started[-1].shut()
        started.append(Office(tmp_path, **{"min_clients": 2, "rounds": 3, **settings}))
        started[-1].join("a", "b")
        return started[-1]

    yield start_one
    started[-1].close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "rounds").iterdir())


def answered(office: Office, number: int, value: float = 1.0) -> None:
    for client in ("a", "b"):
        office.deliver(client, number, value)


def running(office: Office) -> int | None:
    return office.coordinator.view.tasks["small"].running


def test_rounds_that_follow_one_another_take_one_transaction_and_one_visit_each(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    office, visits, commits, syncs = start(), list[str](), list[object](), list[object]()
    office.deliver("a", 1)
    offload, sync = Threads.offload, Store.sync
    event.listen(office.store._writer, "commit", commits.append)

    def counted(self: Threads, work: Any, *arguments: Any) -> Any:
        visits.append(work.__name__)
        return offload(self, work, *arguments)

    monkeypatch.setattr(Threads, "offload", counted)
    monkeypatch.setattr(Store, "sync", lambda self, again: (syncs.append(again), sync(self, again)))
    office.deliver("b", 1)
    assert (running(office), visits, len(commits), syncs) == (2, ["_put"], 1, [])
    assert (office.record(1)["state"], office.record(2)["state"]) == ("committed", "running")
    answered(office, 2, 5.0)
    answered(office, 3, 7.0)
    assert office.stored() == (3, [7.0] * LAYOUT.size)
    assert running(office) is None, "it was the last of three"


def test_what_is_acknowledged_is_said_before_anything_else_is_asked(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    office, said = start(), list[str]()
    answer = Reply.answer
    monkeypatch.setattr(Reply, "answer", lambda self, value=None: (said.append(type(value).__name__), answer(self, value)))
    monkeypatch.setattr(Threads, "rest", lambda self: said.append("rest"))
    ask = office.transport.ask
    monkeypatch.setattr(office.transport, "ask", lambda clients, update: (said.append(f"ask {update.round}"), ask(clients, update)))
    answered(office, 1)
    assert said.index("Accept") < said.index("rest") < said.index("ask 2")


def test_a_commit_that_fails_takes_the_next_round_with_it(start: Start, tmp_path: Path) -> None:
    office = start()
    office.deliver("a", 1)
    office.full()
    office.deliver("b", 1)
    assert (running(office), office.coordinator.view.tasks["small"].model.round) == (None, 0)
    assert files(tmp_path) == [], "nothing is left of either"
    office.full(False)
    office.later(10.0)
    assert office.record(1)["state"] == "abandoned"
    assert running(office) == 2, "its number was never used"
    answered(office, 2)
    assert office.stored() == (2, [1.0] * LAYOUT.size)


@pytest.mark.parametrize("error", [BrambleError("fedavg: no plan"), ValueError("a third party's")], ids=["known", "not"])
def test_where_the_next_cannot_be_opened_this_one_commits_all_the_same(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def plan(*_: object) -> Any:
        raise error

    office = start()
    office.deliver("a", 1)
    monkeypatch.setattr(FedAvg, "plan", plan)
    office.deliver("b", 1)
    assert (office.stored(), running(office)) == ((1, [1.0] * LAYOUT.size), None)
    assert files(tmp_path) == ["1.round"]
    monkeypatch.undo()
    office.later(10.0)
    assert running(office) == 2


@pytest.mark.parametrize("last", ["commit", "rest"])
def test_a_server_killed_between_the_two_goes_on_with_what_is_on_record(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last: str
) -> None:
    office = start()
    office.deliver("a", 1, 1.0)

    def dies(*_: object) -> None:
        raise SystemExit

    if last == "rest":
        monkeypatch.setattr(Threads, "rest", dies)
    else:
        event.listen(office.store._writer, "commit", dies)
    office.deliver("b", 1, 3.0)
    monkeypatch.undo()
    office = start()
    office.drain()
    assert office.stored() == (1, [2.0] * LAYOUT.size)
    assert running(office) == 2
    answered(office, 2, 4.0)
    assert office.stored() == (2, [4.0] * LAYOUT.size)
    assert [office.record(number)["updates"] for number in (1, 2)] == [2, 2], "each counted once"
    assert files(tmp_path) == ["2.round", "3.round"]


def test_after_a_power_cut_that_took_the_next_rounds_file_what_was_acknowledged_is_there(start: Start, tmp_path: Path) -> None:
    office = start()
    answered(office, 1, 3.0)
    (tmp_path / "rounds" / "2.round").write_bytes(b"")  # the database's sync covers the record of it, and not the file
    office = start()
    office.drain()
    assert (office.stored(), running(office)) == ((1, [3.0] * LAYOUT.size), 3)
    assert (office.record(2)["state"], office.record(2)["reason"]) == ("abandoned", "server restarted")


def test_one_that_is_started_by_hand_opens_nothing_ahead(start: Start) -> None:
    office = start(rounds=None)
    assert office.committed("a", "b") == 1
    assert running(office) is None
    assert office.committed("a", "b") == 2


@pytest.mark.parametrize("rounds", [3, None])
def test_a_strategy_that_remembers_goes_on_from_what_is_about_to_be_stored(start: Start, rounds: int | None) -> None:
    office = start(strategy="fedavgm", rounds=rounds)
    for number, value in enumerate((1.0, 2.0, 2.5), 1):
        if rounds is None:
            office.coordinator.start_round()
        answered(office, number, value)
    stored = office.stored()
    assert stored
    assert stored[1] == pytest.approx(WITH_MOMENTUM, rel=1e-5), "whether the rounds are opened ahead or not"


def test_where_the_champion_is_to_come_back_nothing_is_opened_before(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    office, written = start(), list[object]()
    finish = Commits.finish

    def finished(self: Commits, open_round: Any, base: Any, also: Any) -> Any:
        return finish(self, open_round, base, also=lambda model, end: written.append(also(model, end)))

    monkeypatch.setattr(Commits, "finish", finished)
    monkeypatch.setattr("bramble_server.rounds.champions.Champions.due_to", lambda self, standing: 1)
    answered(office, 1)
    assert written == [None]
