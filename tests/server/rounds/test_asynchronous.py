"""Rounds that wait for nobody in particular: what becomes of the model, as FedBuff's authors have it, and of who is slow, gone or late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol import reasons
from bramble_protocol.errors import BrambleError
from bramble_server.rounds.asynchronous import Asynchronous, State
from bramble_server.rounds.machine import Ask, Commit, Joined, Left, Open, Rules, Start, Update
from bramble_server.settings import ServerSettings
from tests.server.office import Office
from tests.server.process import LAYOUT

INITIAL = np.arange(LAYOUT.size, dtype=np.float64)
SETTINGS: dict[str, Any] = {"discipline": "asynchronous", "buffer": 2, "min_clients": 3}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Office]]:
    offices: list[Office] = []

    def one(**settings: Any) -> Office:
        offices.append(Office(tmp_path, **{**SETTINGS, **settings}))
        return offices[-1]

    yield one
    offices[-1].close()


def model(office: Office) -> np.ndarray[Any, Any]:
    return office.coordinator.view.tasks["small"].model.weights.astype(np.float64)


def dying(*arguments: Any) -> Any:
    """End the server's one writer."""
    raise SystemExit


def sent(office: Office) -> list[tuple[str, list[str]]]:
    """What was said since one last asked."""
    said = [*office.transport.said]
    office.transport.said.clear()
    return said


def test_the_model_goes_where_fedbuff_has_it_go(opened: Callable[..., Office]) -> None:
    """Algorithm 1, in a few lines of numpy: ``w <- w + mean of s(tau) (y - base)``, ``s(tau) = (1 + tau)^-a``."""
    office = opened(staleness_exponent=0.7)
    office.join("a", "b", "slow")
    office.coordinator.start_round()
    values = iter((0.25, -1.5, 2.0, 0.75, -0.5, 1.25, 3.0, -2.0, 0.5))
    bases, w, version = dict.fromkeys(("a", "b", "slow"), (1, INITIAL)), INITIAL, 1
    for answering in (("a", "b"), ("b", "a"), ("a", "slow"), ("slow", "b")):
        moves = []
        for client in answering:
            asked, base = bases[client]
            value = next(values)
            office.deliver(client, asked, value)
            moves.append((1 + version - asked) ** -0.7 * (np.full(LAYOUT.size, value) - base))
        w, version = w + sum(moves) / len(moves), version + 1
        np.testing.assert_allclose(model(office), w, rtol=1e-6, atol=1e-6)
        for client in answering:
            bases[client] = (version, w)
            assert office.transport.asked[client].round == version, "who has answered is asked again"
            np.testing.assert_allclose(office.transport.asked[client].weights, w, rtol=1e-6, atol=1e-6)
    parts = office.record(3)["clients"]
    assert {client: part["asked"] for client, part in parts.items() if part["replied"]} == {"a": None, "slow": 1}
    assert parts["slow"]["sent"] == office.record(1)["clients"]["slow"]["sent"], "when it was asked"


def test_a_round_waits_for_nobody_in_particular_and_the_next_follows_at_once(opened: Callable[..., Office]) -> None:
    office = opened()
    office.join("a", "b", "c")
    assert office.coordinator.start_round().clients == ("a", "b", "c")
    sent(office)
    office.deliver("a", 1)
    assert office.coordinator.view.tasks["small"].waiting_for == ("b", "c")
    office.deliver("b", 1)
    assert (office.record(1)["state"], office.coordinator.view.tasks["small"].running) == ("committed", 2)
    assert sent(office) == [("ask 2", ["a", "b"])], "the third trains on"
    assert office.coordinator.view.tasks["small"].waiting_for == ("a", "b", "c")


def test_what_is_older_than_the_bound_is_refused_with_the_reason_and_its_client_asked_anew(opened: Callable[..., Office]) -> None:
    office = opened(max_staleness=1)
    office.join("a", "b", "slow")
    office.coordinator.start_round()
    for number in (1, 2):
        for client in ("a", "b"):
            office.deliver(client, number)
    assert office.transport.asked["slow"].round == 3, "its work would not count any more"
    before = model(office)
    with pytest.raises(BrambleError, match=r"^round over: 2 versions came since, and at most 1 may$"):
        office.deliver("slow", 1, 1e6)
    office.deliver("slow", 3)
    office.deliver("a", 3)
    assert office.record(3)["state"] == "committed"
    assert np.abs(model(office) - before).max() < 10


def test_models_that_nobody_trains_from_any_more_are_let_go(opened: Callable[..., Office]) -> None:
    office = opened(max_staleness=3)
    office.join("a", "b", "slow")
    office.coordinator.start_round()
    [track] = office.coordinator._tracks
    held = []
    for number in range(1, 9):
        for client in ("a", "b"):
            office.deliver(client, number)
        held.append(sorted(track._requests))
    assert held == [[1, 2], [1, 3], [1, 4], [5], [5, 6], [5, 7], [5, 8], [9]]


def test_a_client_whose_connection_broke_is_asked_for_what_it_was_asked_before(opened: Callable[..., Office]) -> None:
    office = opened()
    office.join("a", "b", "slow")
    office.coordinator.start_round()
    for client in ("a", "b"):
        office.deliver(client, 1)
    first = office.transport.asked["slow"]
    office.leave("slow")
    office.transport.asked.clear()
    office.join("slow")
    assert office.transport.asked["slow"] is first, "so that it goes on with what it trains, or sends what it has"


@pytest.mark.parametrize("died", [False, True], ids=["stopped", "killed"])
def test_a_server_that_starts_again_takes_what_was_trained_from_an_earlier_model(opened: Callable[..., Office], died: bool) -> None:
    office = opened()
    office.join("a", "b", "slow")
    office.coordinator.start_round()
    for client in ("a", "b"):
        office.deliver(client, 1, 2.0)
    office.deliver("a", 2, 3.0)
    first, base = office.transport.asked["slow"], model(office)
    office.die() if died else (office.coordinator.stop(), office.shut())
    again = opened()
    assert again.coordinator.view.tasks["small"].running == 2
    again.join("slow")
    assert (again.transport.asked["slow"].round, again.transport.asked["slow"].digest) == (1, first.digest)
    again.join("a", "b")
    again.deliver("a", 2, 3.0)  # its acknowledgement may have got lost
    again.deliver("slow", 1, 5.0)
    again.deliver("slow", 1, 5.0)
    moves = (np.full(LAYOUT.size, 3.0) - base), 2**-0.5 * (np.full(LAYOUT.size, 5.0) - INITIAL)
    np.testing.assert_allclose(model(again), base + sum(moves) / 2, rtol=1e-6, atol=1e-6)
    assert {client: part["asked"] for client, part in again.record(2)["clients"].items() if part["replied"]} == {"a": None, "slow": 1}
    after = model(again)
    again.die()
    third = opened()
    third.deliver("slow", 1, 5.0)  # taken, and counted before
    third.deliver("b", 2, 4.0)
    assert third.coordinator.view.tasks["small"].open_round.updated == {"b"}  # type: ignore[union-attr]
    np.testing.assert_array_equal(model(third), after)


@pytest.mark.parametrize("stopped", [False, True])
def test_rounds_go_on_after_a_restart_between_two_of_them_but_not_once_they_were_stopped(
    opened: Callable[..., Office], stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = opened()
    office.join("a", "b", "c")
    office.coordinator.start_round()
    office.deliver("a", 1)
    if stopped:
        office.coordinator.stop_rounds()
        office.die()
    else:
        [track] = office.coordinator._tracks
        monkeypatch.setattr(track._openings, "begin", dying)
        office.deliver("b", 1)
        office.shut()
    again = opened()
    again.join("a", "b", "c")
    again.drain()
    assert again.coordinator.view.tasks["small"].model.round == 1
    assert again.coordinator.view.tasks["small"].running == (None if stopped else 2)
    asked = {client: update.round for client, update in again.transport.asked.items()}
    assert asked == ({} if stopped else {"a": 2, "b": 2, "c": 1}), (
        "who trains and came back before it was open hears again what it was asked"
    )


def test_stopping_ends_the_open_round_with_what_has_come_and_none_follows(opened: Callable[..., Office]) -> None:
    office = opened()
    office.join("a", "b", "c")
    assert office.coordinator.stop_rounds() is None
    office.coordinator.start_round()
    office.deliver("a", 1)
    assert office.coordinator.stop_rounds() == 1
    record = office.record(1)
    assert (record["state"], record["updates"]) == ("committed", 1)
    assert {client: part["reason"] for client, part in record["clients"].items()} == {"a": None, "b": reasons.LATE, "c": reasons.LATE}
    office.later(3600)
    assert office.coordinator.view.tasks["small"].running is None
    assert office.coordinator.rollback(1) == 2
    assert office.coordinator.start_round().clients == ("a", "b", "c")


def test_a_reset_stops_them_too(opened: Callable[..., Office]) -> None:
    office = opened()
    office.join("a", "b", "c")
    office.coordinator.start_round()
    office.coordinator.reset()
    office.later(3600)
    assert office.coordinator.view.tasks["small"].running is None
    with pytest.raises(BrambleError, match="round over"):
        office.deliver("a", 1)


def test_so_many_rounds_as_were_asked_for_follow_one_another(opened: Callable[..., Office]) -> None:
    office = opened(rounds=2)
    office.join("a", "b", "c")
    office.drain()
    for number in (1, 2):
        for client in ("a", "b"):
            office.deliver(client, number)
    office.later(3600)
    assert office.coordinator.view.tasks["small"].running is None
    assert office.coordinator.view.tasks["small"].model.round == 2


def test_those_are_asked_first_that_waited_longest() -> None:
    machine = Asynchronous(buffer=2, concurrency=2)
    state = machine.begin(Rules(1, 1))
    chosen = []
    for number in range(1, 5):
        state, (opened,) = machine.step(state, Start(["a", "b", "c", "d", "e"]))
        assert isinstance(opened, Open)
        chosen.append(opened.clients)
        for client in opened.clients:
            state, _ = machine.step(state, Update(client, number))
    assert chosen == [("a", "b"), ("c", "d"), ("a", "e"), ("b", "c")]


def test_who_left_and_comes_back_counts_by_the_model_it_was_asked_with() -> None:
    machine = Asynchronous(buffer=1, max_staleness=5)
    state: State = machine.begin(Rules(1, 1))
    state, _ = machine.step(state, Start(["a", "b"]))
    state, _ = machine.step(state, Left("b"))
    state, actions = machine.step(state, Update("a", 1))
    assert actions[-1] == Commit(1)
    state, (opened,) = machine.step(state, Start(["a"]))
    assert isinstance(opened, Open)
    assert (opened.clients, opened.under_way) == (("a",), {"b": (1, 1)})
    state, actions = machine.step(state, Joined("b"))
    assert actions == (Ask(1, "b"),)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"buffer": 2, "min_updates": 3}, "--buffer 2 is less than --min-updates 3"),
        ({"selection": "oort"}, "--selection is for synchronous rounds; asynchronous ones ask whoever waited longest"),
        ({"concurrency": 3}, "--concurrency 3 is less than --buffer 10"),
        ({"every": "10m"}, "--every and --discipline asynchronous exclude each other"),
        ({"track": ["climate.concurrency=3"]}, "concurrency 3 is less than --buffer 10"),
    ],
)
def test_what_could_never_end_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ServerSettings(discipline="asynchronous", **given)
