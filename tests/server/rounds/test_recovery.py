"""What a server that was killed finds at its next start, and goes on with. Real ones are killed in ``tests/e2e/test_kill_server.py``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol.errors import BrambleError
from bramble_server.learning.judge import Judge
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds import machine, recovery, synchronous
from bramble_server.rounds.commits import Commits
from bramble_server.rounds.machine import Failed, Joined, Left, Resumed, Rules, Update
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import RoundFile
from bramble_server.rounds.synchronous import State
from bramble_server.rounds.writer import RefusedError
from bramble_server.store import models
from tests.server.office import Clock, Office
from tests.server.process import LAYOUT

Start = Callable[..., Office]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server on the data of the one before, which has died."""
    started: list[Office] = []

    def start_one(**settings: Any) -> Office:
        if started:
            started[-1].die()
        started.append(Office(tmp_path, clock=started[-1].clock if started else Clock(), **settings))
        return started[-1]

    yield start_one
    started[-1].close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "rounds").iterdir())


def opened(office: Office, *clients: str) -> int:
    office.join(*clients)
    return office.coordinator.start_round().round


def test_a_round_goes_on_with_those_who_had_answered_and_asks_the_others_when_they_are_back(start: Start, tmp_path: Path) -> None:
    office = start()
    number = opened(office, "a", "b", "c", "d")
    office.deliver("a", number, 1.0)
    office.refuse("c", number)
    office.leave("d")
    parts = office.coordinator.progress(number)
    office = start()
    assert (office.coordinator.view.tasks["small"].running, office.coordinator.view.tasks["small"].waiting_for) == (number, ("b",))
    assert office.coordinator.progress(number) == parts
    office.join("a", "c", "b", "d")
    assert office.transport.said == [(f"ask {number}", ["b"]), (f"ask {number}", ["d"])]
    office.deliver("a", number, 50.0)  # a repeat, whose acknowledgement may have been lost
    office.deliver("b", number, 3.0)
    office.deliver("d", number, 5.0)
    record = office.record(number)
    assert (record["state"], record["updates"]) == ("committed", 3)
    assert (record["clients"]["c"]["reason"], record["clients"]["d"]["reason"]) == ("busy", None)
    assert office.stored() == (number, [3.0] * LAYOUT.size)
    assert opened(office) == number + 1


def test_a_server_that_was_stopped_goes_on_just_so(tmp_path: Path) -> None:
    office = Office(tmp_path)
    number = opened(office, "a", "b")
    office.deliver("a", number, 1.0)
    office.close()
    again = Office(tmp_path, clock=office.clock)
    assert (again.coordinator.view.tasks["small"].running, again.coordinator.view.tasks["small"].waiting_for) == (number, ("b",))
    again.join("b")
    again.deliver("b", number, 3.0)
    assert again.stored() == (number, [2.0] * LAYOUT.size)
    again.close()


@pytest.mark.parametrize("error", [BrambleError("fedavg: no plan"), ZeroDivisionError("broken")])
def test_a_round_that_todays_strategy_has_no_plan_for_is_abandoned_and_the_server_starts(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    office = start()
    number = opened(office, "a", "b")
    office.deliver("a", number, 1.0)

    def plan(*_: object) -> None:
        raise error

    monkeypatch.setattr(FedAvg, "plan", plan)
    office = start()
    monkeypatch.undo()
    record = office.record(number)
    said = "fedavg: no plan" if isinstance(error, BrambleError) else "the strategy has no plan for it, the server's log says why"
    assert (record["state"], record["reason"]) == ("abandoned", f"it cannot go on: {said}")
    assert files(tmp_path) == []
    assert opened(office, "a", "b") == number + 1


def dies(monkeypatch: pytest.MonkeyPatch, where: type, method: str) -> Callable[[], None]:
    """Have the writer end in a method, as with its process; return what mends it."""

    def end(*_: object, **__: object) -> None:
        raise SystemExit

    whole = getattr(where, method)
    monkeypatch.setattr(where, method, end)
    return lambda: monkeypatch.setattr(where, method, whole)


@pytest.mark.parametrize(("where", "method"), [(Commits, "finish"), (Judge, "verdicts"), (FedAvg, "finish"), (OpenRound, "commit")])
def test_a_round_for_which_all_had_answered_commits_at_the_start(
    start: Start, monkeypatch: pytest.MonkeyPatch, where: type, method: str
) -> None:
    office = start()
    number = opened(office, "a", "b")
    office.deliver("a", number, 1.0)
    mend = dies(monkeypatch, where, method)
    office.deliver("b", number, 3.0)
    mend()
    office = start()
    office.drain()
    assert office.stored() == (number, [2.0] * LAYOUT.size)
    assert office.record(number)["updates"] == 2


def test_a_commit_that_kills_the_server_does_not_do_so_for_ever(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    office = start()
    number = opened(office, "a")
    mend = dies(monkeypatch, Judge, "verdicts")
    office.deliver("a", number)
    for _ in range(recovery.ATTEMPTS - 1):
        start().drain()
    mend()
    office = start()
    assert office.record(number)["reason"] == "server ended 5 times while it made a model of it"
    office.join("a")
    assert office.committed("a") == number + 1


def test_what_is_left_of_the_deadline_is_left(start: Start) -> None:
    office = start()
    number = opened(office, "a", "b")
    office.later(20.0)
    office.deliver("a", number)
    office = start()
    office.later(39.9)
    assert office.coordinator.view.tasks["small"].waiting_for == ("b",)
    office.later(0.2)
    assert (office.record(number)["state"], office.record(number)["updates"]) == ("committed", 1)


def test_a_deadline_that_passed_meanwhile_ends_the_round_at_the_start(start: Start) -> None:
    office = start()
    number = opened(office, "a", "b")
    office.deliver("a", number)
    office.clock.now += 3600.0
    office = start()
    office.drain()
    assert (office.record(number)["state"], office.record(number)["updates"]) == ("committed", 1)


def test_a_clock_that_was_turned_back_gives_a_round_no_more_time(start: Start) -> None:
    office = start()
    number = opened(office, "a", "b", "c")
    for client in ("a", "b"):
        office.later(20.0)
        office.deliver(client, number)
        office.clock.past += 1e6
        office = start()
    office.later(19.9)
    assert office.coordinator.view.tasks["small"].waiting_for == ("c",)
    office.later(0.2)
    assert office.record(number)["state"] == "committed"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mode": "private", "min_clients": 2, "min_updates": 2}, "server restarted in private mode"),
        ({"graph": "another"}, "server restarted with another graph"),
        ({"file": None}, "server restarted"),
        ({"file": b"no round's"}, "server restarted"),
    ],
)
def test_a_round_that_cannot_go_on_is_abandoned_with_the_reason(start: Start, tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    office = start()
    number = opened(office, "a", "b")
    office.deliver("a", number)
    if "file" in changed:
        (tmp_path / "rounds" / f"{number}.round").unlink()
        if changed["file"]:
            (tmp_path / "rounds" / f"{number}.round").write_bytes(changed["file"])
    if changed == {"graph": "another"}:
        path = tmp_path / "rounds" / f"{number}.round"
        file, records = RoundFile.reopen(path)
        file.close()
        other = RoundFile.create(path, replace(file.header, graph="0" * 64))
        other.append(records[0].about, np.ones(LAYOUT.size, np.float32))
        other.close()
    office = start(**{name: value for name, value in changed.items() if name not in ("file", "graph")})
    assert (office.record(number)["state"], office.record(number)["reason"]) == ("abandoned", reason)
    assert (office.coordinator.view.tasks["small"].running, files(tmp_path)) == (None, [])
    office.join("a", "b")
    assert office.coordinator.start_round().round == number + 1
    with pytest.raises(RefusedError, match="round over"):
        office.deliver("b", number)


def test_files_are_kept_for_the_latest_updates_and_no_longer(start: Start, tmp_path: Path) -> None:
    office = start()
    office.join("a", "b")
    first = office.committed("a", "b", value=1.0)
    assert files(tmp_path) == [f"{first}.round"]
    second = office.coordinator.start_round().round
    office.deliver("a", second, 2.0)
    assert files(tmp_path) == [f"{first}.round", f"{second}.round"]
    office.refuse("b", second)
    assert latest(office) == {"a": (second, 2.0), "b": (first, 1.0)}
    third = office.committed("a", "b", value=3.0)
    assert files(tmp_path) == [f"{third}.round"]
    abandoned = office.coordinator.start_round().round
    office.refuse("a", abandoned)
    office.refuse("b", abandoned)
    assert files(tmp_path) == [f"{third}.round"]
    office = start()
    assert latest(office) == {"a": (third, 3.0), "b": (third, 3.0)}
    assert office.coordinator.reset() == 0
    assert files(tmp_path) == []


def latest(office: Office) -> dict[str, tuple[int, float | None]]:
    """Return round and first weight of each client's latest update, as HTTP reads them."""
    with office.store.reading() as connection, office.archive.reading(lambda: set(models.rounds_of_updates(connection).values())) as found:
        updates = list(models.latest_updates_of_all(connection, "small"))
        weights = [found.weights(update, LAYOUT.size) for update in updates]
    return {update.client: (update.round, None if of is None else float(of[0])) for update, of in zip(updates, weights, strict=True)}


def test_files_that_are_read_are_read_to_the_end(start: Start) -> None:
    office = start()
    office.join("a", "b")
    office.committed("a", "b", value=1.0)
    with office.store.reading() as connection, office.archive.reading(lambda: set(models.rounds_of_updates(connection).values())) as found:
        office.committed("a", "b", value=2.0)
        weights = [found.weights(update, LAYOUT.size) for update in models.latest_updates_of_all(connection, "small")]
    np.testing.assert_array_equal(weights, np.ones((2, LAYOUT.size)))


def test_weights_that_are_not_there_or_damaged_are_none_and_the_rest_is(start: Start, tmp_path: Path) -> None:
    office = start()
    office.join("a", "b")
    number = office.committed("a", "b")
    path = tmp_path / "rounds" / f"{number}.round"
    data = bytearray(path.read_bytes())
    data[data.rindex(np.ones(LAYOUT.size, "<f4").tobytes())] ^= 1
    path.write_bytes(data)
    assert latest(office) == {"a": (number, 1.0), "b": (number, None)}
    path.unlink()
    assert latest(office) == {"a": (number, None), "b": (number, None)}


def test_a_file_of_another_history_is_not_taken_for_this_ones(start: Start, tmp_path: Path) -> None:
    office = start()
    office.join("a")
    number = office.committed("a")
    with office.store.writing() as connection:  # as in a copy from elsewhere
        models.save_updates(connection, models.LatestUpdate("small", "a", number, 11, {}))
    assert latest(office) == {"a": (number, None)}


def test_a_client_that_is_forgotten_takes_its_file_along(start: Start, tmp_path: Path) -> None:
    office = start()
    office.join("a", "b")
    office.committed("a", "b")
    office.leave("b")
    newest = office.coordinator.start_round().round
    office.deliver("a", newest)
    assert len(files(tmp_path)) == 2
    office.registry.forget("b")
    office.later(10.0)
    office.drain()
    assert files(tmp_path) == [f"{newest}.round"]


def test_in_private_mode_nothing_is_kept_once_a_round_is_over_and_what_was_kept_before_is_written_over(
    start: Start, tmp_path: Path
) -> None:
    office = start()
    office.join("a", "b")
    kept = office.committed("a", "b")
    (tmp_path / "rounds" / "99.round").write_bytes(b"an orphan")
    copy = tmp_path / "the same on the disk"
    copy.hardlink_to(tmp_path / "rounds" / f"{kept}.round")
    office = start(mode="private", min_clients=2, min_updates=2)
    assert files(tmp_path) == []
    assert set(copy.read_bytes()) == {0}
    number = opened(office, "a", "b")
    assert files(tmp_path) == [f"{number}.round"]
    office = start(mode="private", min_clients=2, min_updates=2)
    assert files(tmp_path) == [f"{number}.round"]
    office.join("a", "b")
    office.deliver("a", number)
    office.deliver("b", number)
    assert (office.record(number)["state"], files(tmp_path)) == ("committed", [])


def test_a_round_that_was_not_on_record_leaves_no_file(start: Start, tmp_path: Path) -> None:
    office = start()
    office.join("a")
    office.full()
    with pytest.raises(Exception, match="disk is full"):
        office.coordinator.start_round()
    assert files(tmp_path) == []


def test_any_history_is_replayed_to_the_very_state() -> None:
    """The machine's own state after every short history, beside that which a next process makes of its events."""
    clients = ("a", "b")
    happenings = [event for c in clients for event in (Update(c, 1), Failed(c, 1, "no"), Left(c), Joined(c))]
    for history in itertools.product(happenings, repeat=4):
        empty = State(Rules(1, 1), 1)
        state, _ = synchronous.step(State(Rules(1, 1)), machine.Start(clients))
        noted: list[Any] = []
        for event in history:
            after, _ = synchronous.step(state, event)
            if after is not state:
                noted.append(event)
            replayed = synchronous.replayed(empty, 1, clients, noted)
            if after.running is None:
                assert replayed.running
                assert not replayed.running.pending
                again, actions = synchronous.step(replayed, Resumed())
                assert (again.running, again.answered) == (None, after.answered)
                assert len(actions) == 1
                break
            assert replayed == after
            assert synchronous.step(after, Resumed()) == (after, ())
            state = after
