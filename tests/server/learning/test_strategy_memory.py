"""What a strategy remembers goes with the model that it belongs to, whatever fails, and whoever is killed when."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from bramble_protocol.messages import ClientUpdate, TrainConfig
from bramble_server.learning.aggregate import AggregateError
from bramble_server.learning.judge import Judge
from bramble_server.learning.strategies import STRATEGIES, Context
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.learning.strategies.fedavgm import FedAvgM
from bramble_server.rounds.commits import Commits
from bramble_server.store import Store, models
from bramble_server.store.schema import strategy_state
from tests.server.office import Office, Transport
from tests.server.process import LAYOUT
from tests.server.statements import before_each

Open = Callable[..., Office]
FEDAVGM: dict[str, Any] = {"strategy": "fedavgm", "strategy_option": {"momentum": 0.5}}
Vector = NDArray[np.float64]


def after(*values: float, momentum: float = 0.5, start: Vector | None = None) -> tuple[Vector, Vector]:
    """Model and velocity after rounds in which everybody sent these values."""
    w, v = np.arange(LAYOUT.size, dtype=np.float64) if start is None else start, np.zeros(LAYOUT.size)
    for value in values:
        v = momentum * v + value - w
        w = w + v
    return w, v


def held(store: Store) -> tuple[int, Any, Any]:
    """Number, weights and velocity of the newest model on the disk."""
    with store.reading() as connection:
        newest = models.latest(connection, "small")
        assert newest
        memory = models.memory(connection, newest[0])
    return *newest, memory.state.get("velocity")


def holds(store: Store, number: int, expected: tuple[Vector, Vector]) -> None:
    found, weights, velocity = held(store)
    assert found == number
    np.testing.assert_allclose(weights, expected[0], atol=1e-5)
    np.testing.assert_allclose(velocity, expected[1], atol=1e-5)


@pytest.fixture
def open_office(tmp_path: Path) -> Iterator[Open]:
    """Open a server on one folder, again and again; two clients come to each."""
    opened: list[Office] = []

    def open_with(**settings: Any) -> Office:
        if opened:
            opened.pop().close()
        opened.append(Office(tmp_path, **{**FEDAVGM, **settings}))
        opened[-1].join("a", "b")
        return opened[-1]

    yield open_with
    for office in opened:
        office.close()


def play(office: Office, *values: float) -> int:
    """Run rounds to their commits; return the last one's number."""
    return [office.committed("a", "b", value=value) for value in values][-1]


def abandoned(office: Office, value: float) -> str:
    """Run a round that comes to nothing; return why."""
    number = office.coordinator.start_round().round
    for client in ("a", "b"):
        office.deliver(client, number, value)
    record = office.record(number)
    assert record["state"] == "abandoned"
    return str(record["reason"])


class TestALife:
    def test_a_restart_goes_on_with_it(self, open_office: Open) -> None:
        play(open_office(), 3.0, 1.0)
        number = play(open_office(), 2.0)
        holds(open_office().store, number, after(3.0, 1.0, 2.0))

    def test_a_rollback_brings_back_that_of_the_model_too(self, open_office: Open, caplog: pytest.LogCaptureFixture) -> None:
        office = open_office()
        play(office, 3.0, 1.0, -8.0)
        number = office.coordinator.rollback(2)
        holds(office.store, number, after(3.0, 1.0))
        holds(office.store, play(office, 2.0), after(3.0, 1.0, 2.0))
        assert "begins without" not in caplog.text

    def test_a_reset_begins_anew(self, open_office: Open) -> None:
        office = open_office()
        play(office, 3.0, 1.0)
        office.coordinator.reset()
        holds(office.store, play(office, 2.0), after(2.0))

    def test_it_is_kept_as_long_as_its_model(self, open_office: Open) -> None:
        office = open_office(keep_models=2)
        play(office, 1.0, 2.0, 3.0, 4.0)
        with office.store.reading() as connection:
            assert models.kept(connection, "small") == [3, 4]
            assert list(connection.scalars(select(strategy_state.c.round).order_by(strategy_state.c.round))) == [3, 4]
        office.coordinator.reset()
        with office.store.reading() as connection:
            assert connection.scalar(select(func.count()).select_from(strategy_state)) == 0

    def test_other_parameters_begin_anew_from_the_model_and_the_log_says_so(
        self, open_office: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        number = play(open_office(), 3.0, 1.0)
        office = open_office(strategy_option={"momentum": 0.8, "learning_rate": 1})
        sentence = (
            f"strategy: fedavgm (momentum=0.8, learning_rate=1.0) goes on from the model of round {number}, which "
            "fedavgm (momentum=0.5, learning_rate=1.0) made, and begins without what that one remembered"
        )
        assert caplog.messages.count(sentence) == 1
        play(office, 2.0)
        holds(office.store, play(office, 2.5), after(2.0, 2.5, momentum=0.8, start=after(3.0, 1.0)[0]))
        caplog.clear()
        open_office(strategy_option={"momentum": "0.8"})
        assert "begins without" not in caplog.text

    def test_so_does_another_strategy(self, open_office: Open, caplog: pytest.LogCaptureFixture) -> None:
        number = play(open_office(), 3.0, 1.0)
        office = open_office(strategy="fedavg", strategy_option={})
        assert f"strategy: fedavg goes on from the model of round {number}, which fedavgm (momentum=0.5" in caplog.text
        number = play(office, 2.0)
        assert office.stored() == (number, [2.0] * LAYOUT.size)
        assert held(office.store)[2] is None
        number = play(open_office(), 4.0)
        holds(open_office().store, number, after(4.0, start=np.full(LAYOUT.size, 2.0)))

    def test_what_it_can_no_longer_read_begins_anew_and_is_said(
        self, open_office: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        office = open_office()
        number = play(office, 3.0)

        def renamed(self: FedAvgM, state: Any) -> None:
            raise KeyError("speed")

        monkeypatch.setattr(FedAvgM, "restore", renamed)
        before = held(office.store)[1]
        play(office, 1.0)
        assert f"begins anew, for it cannot use what it stored with round {number} (KeyError: 'speed')" in caplog.text
        holds(office.store, number + 1, after(1.0, start=before))


class Statements:
    """Has one of the statements fail that a commit or a rollback runs on the database; what the clock's work writes is not among them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.failing: int | None = None
        """How many run before the one that fails; None for none of them."""
        self._left: int | None = None
        for name in ("finish", "restore"):
            patch.setattr(Commits, name, self._counted(getattr(Commits, name)))
        self._ends = ExitStack()
        self._ends.enter_context(before_each(self._one))

    def _counted(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self._left = self.failing
            try:
                return work(*arguments, **named)
            finally:
                self._left = None

        return counted

    def _one(self) -> None:
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            self._left = None
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise OperationalError("INSERT", {}, error)

    def close(self) -> None:
        self._ends.close()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[Statements]:
    counted = Statements(monkeypatch)
    yield counted
    counted.close()


class TestFailures:
    def test_a_commit_of_which_any_statement_fails_leaves_it_where_it_was(self, open_office: Open, statements: Statements) -> None:
        office = open_office()
        play(office, 3.0, 1.0)
        before, failed = held(office.store), 0
        while True:
            number = office.coordinator.start_round().round
            office.deliver("a", number, -5.0)
            statements.failing = failed
            office.deliver("b", number, -5.0)
            if office.record(number)["state"] == "committed":
                break
            np.testing.assert_array_equal(held(office.store)[1:], before[1:])
            failed += 1
        assert failed > 6
        holds(office.store, number, after(3.0, 1.0, -5.0))
        holds(office.store, play(office, 2.0), after(3.0, 1.0, -5.0, 2.0))

    def test_so_does_a_rollback_and_the_judge_goes_on_by_the_rounds_that_hold(
        self, open_office: Open, statements: Statements, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office, recalled = open_office(), list[int]()
        monkeypatch.setattr(Judge, "recall", lambda self, committed: recalled.append(len(list(committed))))
        play(office, 3.0, 1.0, -5.0)
        failed = 0
        while True:
            statements.failing = failed
            try:
                number = office.coordinator.rollback(2)
            except Exception:
                assert recalled == []
                holds(office.store, 3, after(3.0, 1.0, -5.0))
                assert office.coordinator.view.tasks["small"].model.round == 3
                failed += 1
            else:
                break
        assert failed > 6
        assert recalled == [2]
        holds(office.store, number, after(3.0, 1.0))
        holds(office.store, play(office, 2.0), after(3.0, 1.0, 2.0))

    @pytest.mark.parametrize("wrong", ["model", "memory", "both raise"])
    def test_a_result_that_is_not_finite_leaves_it_where_it_was(
        self, wrong: str, open_office: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = open_office()
        play(office, 3.0, 1.0)
        finish = FedAvgM.finish

        def spoilt(self: FedAvgM) -> Any:
            weights = finish(self)  # what it has in hand has moved on by now
            assert self._velocity is not None
            if wrong == "both raise":
                raise AggregateError("aggregate: value 0 of the new model is not finite")
            (weights if wrong == "model" else self._velocity)[2] = np.inf
            return weights

        with monkeypatch.context() as patched:
            patched.setattr(FedAvgM, "finish", spoilt)
            assert "not finite" in abandoned(office, -5.0)
        holds(office.store, 2, after(3.0, 1.0))
        holds(office.store, play(office, 2.0), after(3.0, 1.0, 2.0))


class Told(Transport):
    """Notes how each client is to train."""

    def __init__(self, registry: Any) -> None:
        super().__init__(registry)
        self.rates: list[tuple[list[str], float]] = []

    def ask(self, clients: Any, update: ClientUpdate) -> None:
        clients = list(clients)
        super().ask(clients, update)
        self.rates.append((clients, update.config.learning_rate))


class Gentle(FedAvg):
    """Which has one client train more slowly."""

    def plan(self, context: Context, clients: Sequence[str]) -> dict[str, TrainConfig]:
        """Give b a tenth of the rate."""
        slow = replace(context.config, learning_rate=context.config.learning_rate / 10)
        return {client: slow if client == "b" else context.config for client in clients}


def test_each_client_is_asked_as_the_plan_says_and_again_when_it_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "gentle", Gentle)
    office = Office(tmp_path, Told, strategy="gentle", learning_rate=0.5)
    try:
        office.join("a", "b", "c")
        office.coordinator.start_round()
        assert office.transport.rates == [(["a", "c"], 0.5), (["b"], 0.05)]
        office.leave("b")
        office.join("b")
        assert office.transport.rates[2:] == [(["b"], 0.05)]
    finally:
        office.close()


def test_a_round_whose_plan_is_wrong_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "gentle", Gentle)
    monkeypatch.setattr(Gentle, "plan", lambda self, context, clients: {"a": context.config})
    office = Office(tmp_path, strategy="gentle")
    try:
        office.join("a", "b")
        with pytest.raises(Exception, match="Gentle: its plan for the round leaves out b"):
            office.coordinator.start_round()
        assert (office.coordinator.view.tasks["small"].running, office.transport.said) == (None, [])
    finally:
        office.close()


def test_what_was_stored_cannot_be_written_to(open_office: Open) -> None:
    office = open_office()
    play(office, 3.0)
    velocity = held(office.store)[2]
    with pytest.raises(ValueError, match="read-only"):
        velocity += 1


def test_the_warning_is_one_line(open_office: Open, caplog: pytest.LogCaptureFixture) -> None:
    play(open_office(), 1.0)
    with caplog.at_level(logging.WARNING):
        open_office(strategy="fedprox", strategy_option={})
    assert len([message for message in caplog.messages if "begins without" in message]) == 1
