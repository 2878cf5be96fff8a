"""What a round is to be, by the settings and by what the rounds before told: a pure matter, the same after a restart."""

from __future__ import annotations

from typing import Any

import pytest

from bramble_protocol import reasons
from bramble_protocol.errors import BrambleError
from bramble_server.learning.selection import Call, Choice
from bramble_server.rounds.cohorts import Cohorts
from bramble_server.settings import ServerSettings

FLEET = [f"pi-{n:02}" for n in range(20)]


def cohorts(**settings: Any) -> Cohorts:
    return Cohorts(ServerSettings(**settings), 5)


def part(seconds: float | None, reason: str | None = None, samples: int = 10, loss: float = 1.0) -> dict[str, Any]:
    replied = None if seconds is None else 100.0 + seconds
    return {"sent": 100.0, "replied": replied, "samples": samples, "loss_before": loss, "reason": reason}


def test_all_are_asked_and_waited_for_unless_it_is_said_otherwise() -> None:
    found = cohorts().choose(1, FLEET)
    assert (found.clients, found.spare, found.enough, found.deadline) == (tuple(FLEET), 0, 0, 60.0)
    assert found.how == {"selection": None, "seed": 5, "deadline": 60.0}


@pytest.mark.parametrize(
    ("settings", "able", "asked", "enough"),
    [
        ({"clients_per_round": 10}, 20, 10, 0),
        ({"clients_per_round": 10, "over_selection": 1.3}, 20, 13, 10),
        ({"clients_per_round": 10, "over_selection": 1.3}, 12, 12, 10),
        ({"clients_per_round": 10, "over_selection": 1.3}, 10, 10, 0),
        ({"clients_per_round": 0.1}, 20, 2, 0),
        ({"clients_per_round": 0.1}, 4, 1, 0),
        ({"clients_per_round": 0.1, "min_updates": 3}, 20, 3, 0),
        ({"clients_per_round": 0.1, "strategy": "krum", "min_clients": 5}, 20, 5, 0),
        ({"clients_per_round": 1.0}, 20, 20, 0),
        ({"clients_per_round": 0.5, "over_selection": 1.25}, 20, 13, 10),
    ],
)
def test_as_many_are_asked_as_are_wanted_and_to_spare(settings: dict[str, Any], able: int, asked: int, enough: int) -> None:
    found = cohorts(**settings).choose(1, FLEET[:able])
    assert (len(found.clients), found.spare, found.enough) == (asked, able - asked, enough)


COINS: dict[str, Any] = {"selection": "poisson", "clients_per_round": 0.8, "strategy": "dp"}


def test_coins_fall_otherwise_on_each_server_and_no_round_waits_for_a_number() -> None:
    settings = ServerSettings(**COINS)
    one, other = ([Cohorts(settings, 5, coins).choose(number, FLEET) for number in range(1, 40)] for coins in (1, 2))
    assert [each.clients for each in one] != [each.clients for each in other]
    assert len({len(each.clients) for each in one}) > 3
    assert {(len(each.clients) + each.spare, each.enough) for each in one} == {(20, 0)}
    assert Cohorts(settings, 5).choose(3, FLEET) == Cohorts(settings, 5).choose(3, FLEET), "in a simulation they repeat"


def test_coins_that_would_leave_too_few_are_refused_for_what_that_would_tell() -> None:
    said = r"of 20 clients, each asked with a probability of 0\.5, fewer than 2 would be asked in one of 4\.99e\+04 rounds"
    with pytest.raises(BrambleError, match=said):
        cohorts(**{**COINS, "clients_per_round": 0.5, "min_updates": 2}).choose(1, FLEET)
    cohorts(**COINS, min_clients=3).choose(1, FLEET[:2])  # is too few by itself, and said to be


@pytest.mark.parametrize(
    ("given", "says"), [({"clients_per_round": 5}, "say which, as in"), ({"over_selection": 1.5}, "leave --over-selection out")]
)
def test_coins_go_by_a_probability_alone(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ServerSettings(**{**COINS, **given})


def told(rounds: Cohorts, number: int, parts: dict[str, dict[str, Any]], deadline: float = 60.0) -> dict[str, Any]:
    rounds.ended(number, parts, 130.0, deadline)
    return {"round": number, "clients": parts, "ended": 130.0, "deadline": deadline}


@pytest.mark.parametrize("name", ["uniform", "samples", "loss", "least-recent", "tiers", "adaptive-tiers", "oort"])
def test_a_server_that_starts_anew_chooses_as_the_one_before_would_have(name: str) -> None:
    settings = {"clients_per_round": 4, "over_selection": 1.5, "selection": name, "adaptive_deadline": 2.0}
    before = cohorts(**settings)
    history = []
    for number in range(1, 30):
        asked = before.choose(number, FLEET).clients
        parts = {client: part(1.0 + FLEET.index(client), samples=10 + FLEET.index(client)) for client in asked[1:]}
        history.append(told(before, number, {asked[0]: part(None, reasons.SPARED), **parts}))
    after = cohorts(**settings)
    after.recall(history)
    assert [after.choose(number, FLEET) for number in (30, 31)] == [before.choose(number, FLEET) for number in (30, 31)]


def test_how_often_a_client_was_asked_is_remembered_for_two_hundred_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, int]] = []
    found = cohorts(clients_per_round=4)

    def choose(self: Choice, call: Call, clients: list[str]) -> tuple[str, ...]:
        seen.append({client: known.times for client, known in call.known.items()})
        return tuple(clients[: call.count])

    monkeypatch.setattr(Choice, "cohort", choose)
    for number in range(1, 4):
        told(found, number, {client: part(1.0) for client in FLEET[:number]})
    for number in (4, 202, 203):
        found.choose(number, FLEET)
    assert seen == [{"pi-00": 3, "pi-01": 2, "pi-02": 1}, {"pi-00": 1, "pi-01": 1, "pi-02": 1}, {}]


def test_a_reset_forgets_what_rounds_told() -> None:
    found = cohorts(clients_per_round=4, selection="least-recent")
    first = found.choose(1, FLEET)
    told(found, 1, {client: part(1.0) for client in first.clients})
    assert not set(found.choose(1, FLEET).clients) & set(first.clients)
    found.forget()
    assert found.choose(1, FLEET) == first


class TestDeadline:
    def test_it_is_as_long_as_it_may_be_while_somebody_was_never_measured(self) -> None:
        found = cohorts(adaptive_deadline=2.0)
        assert found.choose(1, FLEET).deadline == 60.0
        told(found, 1, {client: part(3.0) for client in FLEET[:15]})
        assert found.choose(2, FLEET).deadline == 60.0, "a fifth of them may be as slow as it gets"

    def test_it_goes_by_what_nine_in_ten_took(self) -> None:
        found = cohorts(adaptive_deadline=2.0)
        told(found, 1, {client: part(3.0 if index < 19 else 50.0) for index, client in enumerate(FLEET)})
        assert found.choose(2, FLEET).deadline == 6.0

    def test_who_was_too_late_has_it_grow_and_never_past_the_longest(self) -> None:
        found = cohorts(adaptive_deadline=2.0)
        told(found, 1, {client: part(3.0) for client in FLEET})
        told(found, 2, {client: part(None, reasons.LATE) for client in FLEET}, deadline=6.0)
        assert found.choose(3, FLEET).deadline == 24.0
        told(found, 3, {client: part(None, reasons.LATE) for client in FLEET}, deadline=24.0)
        assert found.choose(4, FLEET).deadline == 60.0

    def test_a_broken_connection_says_nothing_of_speed(self) -> None:
        found = cohorts(adaptive_deadline=2.0)
        told(found, 1, {client: part(3.0) for client in FLEET})
        told(found, 2, {client: part(None, reasons.GONE) for client in FLEET})
        assert found.choose(3, FLEET).deadline == 6.0
