"""Evaluations in the store, on each database: what was asked, what each client found, and what is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bramble_server.store import Store, evaluations, reset, reset_task, rounds

Reopen = Callable[[], Store]
ASKED = {"a": None, "b": None, "old": "it cannot"}


def test_what_was_asked_and_found_is_there_after_a_restart(reopen: Reopen) -> None:
    with reopen().writing() as connection:
        number = evaluations.begun(connection, "climate", [0, 7], 100.0, 160.0, ASKED)
        evaluations.answered(connection, number, "a", {"samples": 20, "baseline": 4.0, "errors": {"0": 9.0, "7": 1.0}})
    with reopen().writing() as connection:
        [open_one] = evaluations.open_ones(connection)
        assert (open_one["evaluation"], open_one["models"], open_one["until"]) == (number, [0, 7], 160.0)
        assert open_one["clients"]["a"] == {"samples": 20, "baseline": 4.0, "errors": {"0": 9.0, "7": 1.0}, "counts": None, "reason": None}
        evaluations.ended(connection, number, 170.0, "silent")
    with reopen().reading() as connection:
        assert evaluations.open_ones(connection) == []
        found = evaluations.one(connection, number)
        assert found is not None
        assert found["ended"] == 170.0
        assert {name: one["reason"] for name, one in found["clients"].items()} == {"a": None, "b": "silent", "old": "it cannot"}


def test_the_newest_of_each_task_are_kept(reopen: Reopen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations, "KEPT", 2)
    with reopen().writing() as connection:
        for task in ("a", "b", "a", "a"):
            evaluations.begun(connection, task, [1], 1.0, 2.0, ASKED)
        assert [one["evaluation"] for one in evaluations.history(connection, "a")] == [3, 4]
        assert [one["evaluation"] for one in evaluations.history(connection, "a", since=3)] == [4]
        assert [one["evaluation"] for one in evaluations.history(connection, "b")] == [2]


def test_a_reset_forgets_them_and_no_number(reopen: Reopen) -> None:
    with reopen().writing() as connection:
        for task in ("a", "b"):
            evaluations.begun(connection, task, [1], 1.0, 2.0, ASKED)
        reset_task(connection, "a")
        assert (evaluations.one(connection, 1), len(evaluations.history(connection, "b"))) == (None, 1)
        reset(connection)
        assert evaluations.history(connection, "b") == []
        assert evaluations.begun(connection, "a", [1], 1.0, 2.0, ASKED) == 3


def test_a_model_that_was_brought_back_counts_as_that_of_its_own_round(reopen: Reopen) -> None:
    with reopen().writing() as connection:
        for number in (1, 2):
            rounds.opened(connection, "climate", number, 1.0, [])
            rounds.committed(connection, number, 2.0, 1, {})
        rounds.rolled_back(connection, "climate", 3, 1, 3.0)
        rounds.rolled_back(connection, "climate", 4, 3, 4.0)
        assert [evaluations.trained(connection, "climate", asked) for asked in ([0], [3], [4], [2, 4])] == [0, 1, 1, 2]
