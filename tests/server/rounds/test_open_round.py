"""The work of one round: what is counted, measured and written with its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import ClientUpdate, Control, Delivery, Extras, Timing, TrainConfig, TrainingComplete
from bramble_server.learning.judge import Judge
from bramble_server.learning.strategies import Strategy, Update
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import Header, RoundFile
from bramble_server.store import Store, models, rounds
from bramble_server.store.models import UNKNOWN
from tests.server.database import migrated

LAYOUT = Layout.of([("w", [4])])
OLD = np.zeros(4, np.float32)
Opened = Callable[..., OpenRound]


def complete(value: float, samples: int = 10, **metrics: float) -> TrainingComplete:
    weights = np.full(4, value, np.float32)
    return TrainingComplete(1, LAYOUT, "float32", weights, samples, metrics, Timing(1.0, 2.0, 3.0), nbytes=16)


def file(folder: Path, clients: tuple[str, ...]) -> RoundFile:
    return RoundFile.create(folder / "1.round", Header(1, "0" * 64, "evaluation", len(OLD), clients, 100.0, 160.0))


def deliver(open_round: OpenRound, client: str, update: TrainingComplete) -> None:
    """Take an update as the coordinator does."""
    open_round.take([(client, Delivery.from_wire(update.to_wire(), LAYOUT), None)])
    open_round.fold(client)


class Picky(FedAvg):
    """Refuses weights that are negative."""

    def fold(self, update: Update) -> None:
        if update.weights[0] < 0:
            raise BrambleError("weights: negative ones are not taken here")
        super().fold(update)


def commit(open_round: OpenRound, store: Store, needed: int = 1) -> tuple[Weights, dict[str, float]]:
    """End a round as the coordinator does."""
    aggregate, pooled = open_round.aggregate(Judge(), needed)
    open_round.commit(store, aggregate.weights, UNKNOWN, pooled, 5)
    return aggregate.weights, pooled


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(migrated(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def opened(store: Store, tmp_path: Path) -> Iterator[Callable[..., OpenRound]]:
    """Open a round with these clients; it is closed at the test's end."""
    made: list[OpenRound] = []

    def open_with(*clients: str, strategy: Strategy | None = None) -> OpenRound:
        made.append(OpenRound("small", file(tmp_path, clients), OLD, strategy or FedAvg()))
        with store.writing() as connection:
            made[-1].opened(connection, 100)
        return made[-1]

    yield open_with
    for open_round in made:
        open_round.close()


def record(store: Store) -> dict[str, Any]:
    with store.reading() as connection:
        found = rounds.one(connection, 1)
    assert found
    return found


def test_a_commit_writes_model_record_and_every_part_together(store: Store, opened: Opened) -> None:
    open_round = opened("a", "b", "c")
    assert record(store)["state"] == "running"
    deliver(open_round, "a", complete(1.0, 30, loss_after=2.0))
    deliver(open_round, "b", complete(5.0, 10, loss_after=6.0))
    assert open_round.delivered == 2
    open_round.drop("c", "disconnected")
    model, metrics = commit(open_round, store)
    assert model.tolist() == [2.0] * 4
    assert metrics == {"loss_after": 3.0}
    found = record(store)
    assert (found["state"], found["updates"], found["metrics"]) == ("committed", 2, metrics)
    assert found["clients"]["a"]["update_norm"] == pytest.approx(2.0)
    assert found["clients"]["a"]["distance"] == pytest.approx(2.0)
    assert found["clients"]["b"]["cosine"] == pytest.approx(1.0)
    assert (found["clients"]["c"]["reason"], found["clients"]["c"]["replied"]) == ("disconnected", None)
    with store.reading() as connection:
        number, kept = models.latest(connection, "small") or (0, OLD)
        latest = {item.client: item for item in models.latest_updates_of_all(connection, "small")}
    assert (number, kept.tolist()) == (1, [2.0] * 4)
    assert (latest["b"].samples, latest["b"].weights) == (10, None), "they are in the round's file, and written once"


def test_an_update_that_the_strategy_refuses_is_left_out_by_name(store: Store, opened: Opened) -> None:
    open_round = opened("a", "b", strategy=Picky())
    deliver(open_round, "b", complete(-1.0, loss_after=9.0))
    deliver(open_round, "a", complete(4.0, loss_after=2.0))
    model, pooled = commit(open_round, store)
    assert model.tolist() == [4.0] * 4
    assert pooled == {"loss_after": 2.0}
    found = record(store)
    assert (found["updates"], found["reason"]) == (1, "left out b: weights: negative ones are not taken here")
    assert found["clients"]["b"]["reason"] == "left out: weights: negative ones are not taken here"
    assert found["clients"]["a"]["reason"] is None


def test_what_lies_far_from_the_others_is_left_out_by_name_and_measured_all_the_same(store: Store, opened: Opened) -> None:
    open_round = opened("a", "b", "c", "d")
    for client, value in (("a", 1.0), ("b", 1.2), ("c", 0.8), ("d", 40.0)):
        deliver(open_round, client, complete(value))
    model, _ = commit(open_round, store)
    np.testing.assert_allclose(model, 1.0, rtol=1e-6)
    assert open_round.left_out == {"d": "its update is 80 long, 36 times the cohort's median"}
    found = record(store)
    assert (found["state"], found["updates"]) == ("committed", 3)
    assert found["reason"] == "left out d: its update is 80 long, 36 times the cohort's median"
    assert found["clients"]["d"]["update_norm"] == pytest.approx(80.0)
    assert found["clients"]["d"]["replied"] is not None


def test_a_longer_update_goes_a_part_of_its_way_and_is_recorded_as_it_came(store: Store, opened: Opened) -> None:
    open_round = opened("a", "b", "c")
    for client, value in (("a", 1.0), ("b", 1.0), ("c", 4.0)):
        deliver(open_round, client, complete(value))
    model, _ = commit(open_round, store)
    np.testing.assert_allclose(model, (1 + 1 + 1.5) / 3, rtol=1e-6)
    assert record(store)["clients"]["c"]["update_norm"] == pytest.approx(8.0)
    kept = dict((client, weights.copy()) for client, weights in open_round._updates())
    np.testing.assert_array_equal(kept["c"], np.full(4, 4.0, np.float32))


def test_the_order_of_arrival_changes_not_a_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = {f"pi-{i}": float(rng.normal()) for i in range(11)}
    results = []
    for names in (sorted(values), sorted(values, reverse=True)):
        open_round = OpenRound("small", file(tmp_path, tuple(values)), OLD, FedAvg())
        for name in names:
            deliver(open_round, name, complete(values[name], samples=7 + len(name)))
        results.append(open_round.aggregate(Judge(), 1)[0].weights)
        open_round.close()
    np.testing.assert_array_equal(results[0], results[1])


def test_a_round_of_which_too_little_counts_comes_to_nothing_and_says_who_was_left_out(store: Store, opened: Opened) -> None:
    open_round = opened("a", "b")
    deliver(open_round, "a", complete(1.0))
    deliver(open_round, "b", complete(1e15))
    with pytest.raises(BrambleError, match=r"^1 updates count, a round needs 2; left out b: its update is 2e\+15 long"):
        commit(open_round, store, needed=2)
    with store.writing() as connection:
        open_round.abandoned("too few")(connection)
    found = record(store)
    assert (found["state"], found["updates"]) == ("abandoned", 1)
    assert found["clients"]["b"]["reason"].startswith("left out: its update is")


def test_nobodys_samples_outweigh_the_fleet(store: Store, opened: Opened) -> None:
    open_round = opened("a", "b", "c")
    for client, samples in (("a", 100), ("b", 100), ("c", 10_000_000)):
        value, error = (1.0, 1.0) if client == "c" else (0.8, 2.0)
        deliver(open_round, client, complete(value, samples, test_samples=float(samples), test_error=error))
    model, pooled = commit(open_round, store)
    np.testing.assert_allclose(model, (0.8 * 200 + 1.0 * 300) / 500, rtol=1e-6)
    assert (pooled["test_error"], pooled["test_samples"]) == (pytest.approx((2 * 200 + 300) / 500), 500)
    assert record(store)["clients"]["c"]["samples"] == 10_000_000


def test_a_failed_commit_leaves_the_store_as_it_was(store: Store, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    open_round = opened("a")
    deliver(open_round, "a", complete(4.0))

    def fail(*_: object) -> None:
        raise BrambleError("no more room")

    monkeypatch.setattr(models, "save", fail)
    with pytest.raises(BrambleError, match="no more room"):
        commit(open_round, store)
    assert record(store)["state"] == "running"
    with store.writing() as connection:
        open_round.abandoned("no more room")(connection)
    found = record(store)
    assert (found["state"], found["reason"], found["updates"]) == ("abandoned", "no more room", 1)
    assert found["clients"]["a"]["samples"] == 10
    with store.reading() as connection:
        assert models.latest(connection, "small") is None
        assert list(models.latest_updates_of_all(connection, "small")) == []


def test_one_that_delivers_after_all_is_dropped_no_more(store: Store, opened: Opened) -> None:
    open_round = opened("a", "b")
    open_round.drop("a", "disconnected")
    first = open_round.parts()["a"]["sent"]
    open_round.asked_again("a")
    deliver(open_round, "a", complete(1.0))
    part = open_round.parts()["a"]
    assert part["reason"] is None
    assert part["sent"] >= first
    assert (part["received"], part["train_start"], part["train_end"], part["bytes"]) == (1.0, 2.0, 3.0, 16)


def test_parts_are_a_copy_that_nobody_can_write_through(store: Store, opened: Opened) -> None:
    open_round = opened("a")
    open_round.parts()["a"]["reason"] = "mischief"
    assert open_round.parts()["a"]["reason"] is None


class Noting(FedAvg):
    """Notes what comes beside the weights."""

    def begin(self, model: Weights) -> None:
        super().begin(model)
        self.noted: list[Any] = []

    def fold(self, update: Update) -> None:
        super().fold(update)
        found = {name: vector.tolist() for name, vector in update.sections.items()}
        self.noted.append((update.client, update.steps, update.since, found))


def test_what_came_beside_the_weights_is_folded_also_by_a_next_process(opened: Opened, tmp_path: Path) -> None:
    strategy = Noting()
    open_round = opened("a", "b", "c", strategy=strategy)
    plain = ClientUpdate(1, "small", "0" * 64, LAYOUT, "float32", "float32", OLD, TrainConfig())
    asked = replace(plain, extras=Extras(steps=True, control=Control()))
    for value, client in ((1.0, "b"), (2.0, "a")):
        extra: dict[str, Any] = {"steps": 1, "since": int(value), "sections": {"control_delta": np.full(4, 10 * value, np.float32)}}
        wire = replace(complete(value), **extra).to_wire(replace(asked, model=asked.digest))
        open_round.take([(client, Delivery.from_wire(wire, LAYOUT), asked)])
        open_round.fold(client)
    assert open_round.parts()["a"]["bytes"] == 32, "of both vectors"
    without = complete(3.0).to_wire(replace(plain, model=plain.digest))
    open_round.take([("c", Delivery.from_wire(without, LAYOUT), asked)])
    with pytest.raises(BrambleError, match="steps: missing, and was asked for"):
        open_round.fold("c")
    model = open_round.aggregate(Judge(), 1)[0].weights
    expected = [("a", 1, 2, {"control_delta": [20.0] * 4}), ("b", 1, 1, {"control_delta": [10.0] * 4})]
    assert strategy.noted == expected
    open_round.leave()
    again, next_strategy = RoundFile.reopen(tmp_path / "1.round"), Noting()
    gone_on = OpenRound("small", again[0], OLD, next_strategy)
    gone_on.restore(again[1])
    np.testing.assert_array_equal(gone_on.aggregate(Judge(), 1)[0].weights, model)
    assert next_strategy.noted == expected
    gone_on.close()
