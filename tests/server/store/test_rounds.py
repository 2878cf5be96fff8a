from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from bramble_server.store import Store, meta, models, reset, reset_task, rounds
from bramble_server.store.schema import updates

METRICS = {"loss_before": 2.0, "loss_after": 1.0}
HOW = {
    "strategy": {"name": "fedprox", "parameters": {"mu": 0.1}},
    "codec": {"name": "topk", "parameters": {"share": 0.02}},
    "discipline": {"name": "synchronous", "parameters": {}},
    "selection": {"name": "tiers", "parameters": {"tiers": 3}, "clients_per_round": 0.1, "over_selection": 1.3, "enough": 4},
    "seed": 3,
    "deadline": 42.5,
}


def finished(store: Store, number: int, clients: tuple[str, ...] = ("a", "b"), state: str = "committed") -> None:
    with store.writing() as connection:
        rounds.opened(connection, "climate", number, 100.0 * number, clients, sent=100.0 * number + 1)
        rounds.number_used(connection, number)
        for client in clients:
            rounds.parts(connection, number, [{"client": client, "reason": None, "replied": 100.0 * number + 2, "samples": 7}])
        if state == "committed":
            rounds.committed(connection, number, 100.0 * number + 3, len(clients), METRICS)
        elif state == "abandoned":
            rounds.abandoned(connection, number, 100.0 * number + 3, len(clients), "too few")


def read(store: Store, number: int) -> dict[str, Any]:
    with store.reading() as connection:
        found = rounds.one(connection, number)
    assert found is not None
    return found


def test_a_round_is_read_back_as_it_went(store: Store) -> None:
    with store.writing() as connection:
        rounds.opened(connection, "climate", 1, 10.0, ["a", "b"], sent=11.0, how=HOW)
    assert read(store, 1)["state"] == "running"
    with store.writing() as connection:
        rounds.parts(
            connection,
            1,
            [
                {
                    "client": "a",
                    "reason": None,
                    "received": 12.0,
                    "train_start": 13.0,
                    "train_end": 14.0,
                    "replied": 15.0,
                    "bytes": 40,
                    "samples": 3,
                    "loss_after": 0.5,
                }
            ],
        )
        rounds.parts(connection, 1, [{"client": "b", "reason": "disconnected"}])
        rounds.committed(connection, 1, 16.0, 1, METRICS)
    found = read(store, 1)
    clients = found.pop("clients")
    assert found == {
        "round": 1,
        "state": "committed",
        "reason": None,
        "started": 10.0,
        "ended": 16.0,
        "selected": 2,
        "updates": 1,
        "metrics": METRICS,
        "rollback_of": None,
        "task": "climate",
        **HOW,
    }
    assert clients["a"] == {
        "sent": 11.0,
        "received": 12.0,
        "train_start": 13.0,
        "train_end": 14.0,
        "replied": 15.0,
        "bytes": 40,
        "samples": 3,
        "loss_before": None,
        "loss_after": 0.5,
        "test_error": None,
        "test_baseline": None,
        "test_samples": None,
        "update_norm": None,
        "cosine": None,
        "distance": None,
        "asked": None,
        "reason": None,
    }
    assert clients["b"]["reason"] == "disconnected"
    assert clients["b"]["sent"] == 11.0


def test_one_that_delivers_after_it_was_dropped_is_dropped_no_more(store: Store) -> None:
    with store.writing() as connection:
        rounds.opened(connection, "climate", 1, 10.0, ["a"])
        rounds.parts(connection, 1, [{"client": "a", "reason": "disconnected"}])
        rounds.parts(connection, 1, [{"client": "a", "reason": None, "replied": 12.0}])
    assert read(store, 1)["clients"]["a"]["reason"] is None


def test_measures_of_many_leave_what_else_is_known(store: Store) -> None:
    finished(store, 1)
    with store.writing() as connection:
        rounds.parts(connection, 1, [{"client": client, "update_norm": 0.5, "cosine": None, "distance": 0.25} for client in "ab"])
    for part in read(store, 1)["clients"].values():
        assert (part["update_norm"], part["cosine"], part["distance"], part["samples"]) == (0.5, None, 0.25, 7)


def test_a_round_that_never_was_is_none(store: Store) -> None:
    finished(store, 2)
    with store.reading() as connection:
        assert [rounds.one(connection, number) for number in (-5, 0, 1, 3)] == [None] * 4


def test_the_same_round_cannot_be_opened_twice(store: Store) -> None:
    finished(store, 1)
    with pytest.raises(Exception, match="rounds"), store.writing() as connection:
        rounds.opened(connection, "climate", 1, 1.0, [])
    assert read(store, 1)["state"] == "committed"


class TestHistory:
    def test_gives_the_newest_ascending(self, store: Store) -> None:
        for number in range(1, 8):
            finished(store, number)
        with store.reading() as connection:
            assert [item["round"] for item in rounds.history(connection, "climate")] == [1, 2, 3, 4, 5, 6, 7]
            assert [item["round"] for item in rounds.history(connection, "climate", limit=3)] == [5, 6, 7]
            assert [item["round"] for item in rounds.history(connection, "climate", since=5)] == [6, 7]
            assert rounds.history(connection, "climate", since=7) == []

    def test_has_clients_only_if_asked(self, store: Store) -> None:
        finished(store, 1)
        finished(store, 2, ("c",))
        with store.reading() as connection:
            assert all("clients" not in item for item in rounds.history(connection, "climate"))
            assert [sorted(item["clients"]) for item in rounds.history(connection, "climate", clients=True)] == [
                ["a", "b"],
                ["c"],
            ]

    def test_of_nothing_is_empty(self, store: Store) -> None:
        with store.reading() as connection:
            assert rounds.history(connection, "climate", clients=True) == []


def test_the_history_keeps_the_last_rounds_with_their_clients_parts(store: Store) -> None:
    for number in range(1, 6):
        finished(store, number)
    with store.writing() as connection:
        rounds.trim(connection, "climate", 6, keep=4)
    with store.reading() as connection:
        assert [item["round"] for item in rounds.history(connection, "climate")] == [3, 4, 5]
        assert connection.scalar(select(func.count()).select_from(updates)) == 6


class TestSeveralTasks:
    """Their rounds are numbered in one sequence, and each has a history of its own."""

    @pytest.fixture
    def store(self, store: Store) -> Store:
        with store.writing() as connection:
            for number in range(1, 9):
                task = "climate" if number % 2 else "vibration"
                rounds.opened(connection, task, number, 100.0 * number, ["a"])
                if number < 7:
                    rounds.parts(connection, number, [{"client": "a", "replied": 2.0}])
                    rounds.committed(connection, number, 200.0, 1, METRICS)
        return store

    def numbers(self, store: Store, task: str) -> list[int]:
        with store.reading() as connection:
            return [item["round"] for item in rounds.history(connection, task)]

    def test_each_has_its_own_history_and_the_last_open_round(self, store: Store) -> None:
        assert (self.numbers(store, "climate"), self.numbers(store, "vibration")) == ([1, 3, 5, 7], [2, 4, 6, 8])
        with store.writing() as connection:
            assert (rounds.running(connection, "climate"), rounds.running(connection, "vibration")) == ((7, 700.0), (8, 800.0))
            assert rounds.recover(connection, "climate", 9.0, 2) == (8, {5: {"a"}, 7: set()})
            assert rounds.running(connection, "vibration") == (8, 800.0), "which nobody has looked after yet"
            assert [item["round"] for item in rounds.lineage(connection, "vibration", 9)] == [2, 4, 6]

    def test_so_many_of_each_are_kept(self, store: Store) -> None:
        with store.writing() as connection:
            rounds.trim(connection, "climate", 9, keep=4)
        assert (self.numbers(store, "climate"), self.numbers(store, "vibration")) == ([3, 5, 7], [2, 4, 6, 8])
        with store.writing() as connection:
            rounds.trim(connection, "vibration", 9, keep=8)
        assert self.numbers(store, "vibration") == [2, 4, 6, 8]

    def test_a_reset_of_one_leaves_the_other(self, store: Store) -> None:
        with store.writing() as connection:
            models.save(connection, "climate", 5, np.ones(1, np.float32), models.UNKNOWN, 1)
            models.save(connection, "vibration", 6, np.ones(1, np.float32), models.UNKNOWN, 1)
            reset_task(connection, "climate")
            assert (models.kept(connection, "climate"), models.kept(connection, "vibration")) == ([], [6])
            assert rounds.recover(connection, "climate", 9.0, 16) == (8, {}), "numbers are never used twice"
        assert (self.numbers(store, "climate"), self.numbers(store, "vibration")) == ([], [2, 4, 6, 8])


class TestRecovery:
    def test_a_new_database_starts_from_nothing(self, store: Store) -> None:
        with store.writing() as connection:
            assert rounds.recover(connection, "climate", 1.0, 16) == (0, {})

    def test_an_open_round_is_closed_as_abandoned(self, store: Store, reopen: Callable[[], Store]) -> None:
        finished(store, 1)
        finished(store, 2, state="running")
        store = reopen()
        with store.writing() as connection:
            last, answered = rounds.recover(connection, "climate", 999.0, 16)
        assert last == 2
        assert answered == {1: {"a", "b"}, 2: {"a", "b"}}
        found = read(store, 2)
        assert (found["state"], found["reason"], found["ended"]) == ("abandoned", "server restarted", 999.0)
        assert read(store, 1)["state"] == "committed"

    def test_one_that_goes_on_stays_open_and_those_before_it_are_closed(self, store: Store) -> None:
        for number in (1, 2):
            finished(store, number, state="running")
        with store.writing() as connection:
            assert rounds.running(connection, "climate") == (2, read(store, 2)["started"])
            rounds.recover(connection, "climate", 999.0, 16, but=2)
        assert [read(store, number)["state"] for number in (1, 2)] == ["abandoned", "running"]

    def test_only_the_last_round_can_go_on(self, store: Store) -> None:
        with store.writing() as connection:
            assert rounds.running(connection, "climate") is None
        finished(store, 1, state="running")
        finished(store, 2)
        with store.writing() as connection:
            assert rounds.running(connection, "climate") is None
            rounds.recover(connection, "climate", 999.0, 16, reason="server restarted with another graph")
        assert read(store, 1)["reason"] == "server restarted with another graph"

    def test_only_who_delivered_counts_as_answered(self, store: Store) -> None:
        with store.writing() as connection:
            rounds.opened(connection, "climate", 1, 1.0, ["a", "b", "c"])
            rounds.parts(connection, 1, [{"client": "a", "reason": None, "replied": 2.0}])
            rounds.parts(connection, 1, [{"client": "b", "reason": "no data yet"}])
            rounds.parts(connection, 1, [{"client": "c", "reason": "left out: its loss is 9 times the cohort's median", "replied": 2.0}])
            assert rounds.recover(connection, "climate", 3.0, 16)[1] == {1: {"a", "c"}}

    def test_answers_of_old_rounds_are_left_out(self, store: Store) -> None:
        for number in range(1, 6):
            finished(store, number)
        with store.writing() as connection:
            assert sorted(rounds.recover(connection, "climate", 1.0, 2)[1]) == [4, 5]

    def test_a_round_that_was_open_when_the_server_was_killed_has_its_number_whether_that_was_noted_or_not(
        self, store: Store, reopen: Callable[[], Store]
    ) -> None:
        finished(store, 1)
        with store.writing(synced=False) as connection:
            rounds.opened(connection, "climate", 2, 200.0, ["a"])
        with reopen().writing() as connection:
            assert rounds.recover(connection, "climate", 1.0, 16, but=2)[0] == 2
            assert meta.get(connection, "last_round") == 2

    def test_numbers_go_on_after_a_reset(self, store: Store, reopen: Callable[[], Store]) -> None:
        finished(store, 1)
        finished(store, 2)
        with store.writing() as connection:
            reset(connection)
        with reopen().writing() as connection:
            assert rounds.recover(connection, "climate", 1.0, 16) == (2, {})
            assert rounds.history(connection, "climate") == []


def test_a_reset_forgets_the_clients_parts_too(store: Store) -> None:
    finished(store, 1)
    with store.writing() as connection:
        reset(connection)
        assert connection.scalar(select(func.count()).select_from(updates)) == 0


def test_a_reason_without_end_is_cut(store: Store) -> None:
    with store.writing() as connection:
        rounds.opened(connection, "climate", 1, 1.0, ["a"])
        rounds.abandoned(connection, 1, 2.0, 0, "x" * 10_000)
    assert read(store, 1)["reason"] == "x" * 500


class TestRollback:
    def test_it_is_a_commit_of_its_own_and_says_of_what(self, store: Store) -> None:
        finished(store, 1)
        with store.writing() as connection:
            rounds.rolled_back(connection, "climate", 2, 1, 250.0)
            assert rounds.recover(connection, "climate", 999.0, 16)[0] == 2
        found = read(store, 2)
        assert (found["state"], found["rollback_of"], found["reason"]) == ("committed", 1, "rolled back to the model of round 1")
        assert (found["started"], found["ended"], found["updates"], found["clients"]) == (250.0, 250.0, 0, {})

    def test_what_was_undone_did_not_lead_to_the_model(self, store: Store) -> None:
        for number in range(1, 5):
            finished(store, number)
        with store.writing() as connection:
            rounds.rolled_back(connection, "climate", 5, 2, 500.0)
        finished(store, 6)
        with store.writing() as connection:
            rounds.rolled_back(connection, "climate", 7, 6, 700.0)
        finished(store, 8, state="abandoned")
        finished(store, 9)
        with store.reading() as connection:
            assert [record["round"] for record in rounds.lineage(connection, "climate", 9)] == [1, 2, 6, 9]
            assert [record["round"] for record in rounds.lineage(connection, "climate", 2)] == [6, 9]
            assert set(rounds.lineage(connection, "climate", 1)[0]["clients"]) == {"a", "b"}


def test_a_history_is_read_from_either_end_ascending(store: Store) -> None:
    for number in range(1, 6):
        finished(store, number)
    with store.reading() as connection:
        found = [
            [item["round"] for item in rounds.history(connection, "climate", since, 2, oldest=oldest)]
            for since, oldest in ((0, False), (0, True), (2, True), (4, True))
        ]
    assert found == [[4, 5], [1, 2], [3, 4], [5]]
