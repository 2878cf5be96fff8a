"""The work of one round: what is counted, measured and written with its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import BrambleError
from protocol.layout import Layout, Weights
from protocol.messages import Timing, TrainingComplete
from server.cohort import Cohort
from server.store import Store, models, rounds
from server.strategies import FedAvg, Strategy

LAYOUT = Layout.of([("w", [4])])
OLD = np.zeros(4, np.float32)
Opened = Callable[..., Cohort]


def complete(value: float, samples: int = 10, **metrics: float) -> TrainingComplete:
    weights = np.full(4, value, np.float32)
    return TrainingComplete(1, LAYOUT, "float32", weights, samples, metrics, Timing(1.0, 2.0, 3.0), nbytes=16)


class Picky(FedAvg):
    """Refuses weights that are negative."""

    def fold(self, weights: Weights, samples: int, metrics: Mapping[str, float]) -> None:
        if weights[0] < 0:
            raise BrambleError("weights: negative ones are not taken here")
        super().fold(weights, samples, metrics)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "bramble.db")
    yield opened
    opened.close()


@pytest.fixture
def opened(store: Store, tmp_path: Path) -> Iterator[Callable[..., Cohort]]:
    """Open a round with these clients; it is closed at the test's end."""
    cohorts: list[Cohort] = []

    def open_with(*clients: str, strategy: Strategy | None = None) -> Cohort:
        cohorts.append(Cohort(1, clients, OLD, strategy or FedAvg(), tmp_path))
        with store.writing() as connection:
            cohorts[-1].opened(connection, 100)
        return cohorts[-1]

    yield open_with
    for cohort in cohorts:
        cohort.close()


def record(store: Store) -> dict[str, Any]:
    with store.reading() as connection:
        found = rounds.one(connection, 1)
    assert found
    return found


def test_a_commit_writes_model_record_and_every_part_together(store: Store, opened: Opened) -> None:
    cohort = opened("a", "b", "c")
    assert record(store)["state"] == "running"
    cohort.fold("a", complete(1.0, 30, loss_after=2.0))
    cohort.fold("b", complete(5.0, 10, loss_after=6.0))
    cohort.drop("c", "disconnected")
    model, metrics = cohort.commit(store, keep=5, with_weights=True)
    assert model.tolist() == [2.0] * 4
    assert metrics == {"loss_after": 3.0}
    found = record(store)
    assert (found["state"], found["updates"], found["metrics"]) == ("committed", 2, metrics)
    assert found["clients"]["a"]["update_norm"] == pytest.approx(2.0)
    assert found["clients"]["a"]["distance"] == pytest.approx(2.0)
    assert found["clients"]["b"]["cosine"] == pytest.approx(1.0)
    assert (found["clients"]["c"]["reason"], found["clients"]["c"]["replied"]) == ("disconnected", None)
    with store.reading() as connection:
        number, kept = models.latest(connection) or (0, OLD)
        latest = {item.client: item for item in models.latest_updates_of_all(connection)}
    assert (number, kept.tolist()) == (1, [2.0] * 4)
    assert latest["b"].weights is not None
    assert (latest["b"].samples, latest["b"].weights.tolist()) == (10, [5.0] * 4)


def test_without_weights_only_norms_and_distances_are_kept(store: Store, opened: Opened) -> None:
    cohort = opened("a")
    cohort.fold("a", complete(3.0))
    cohort.commit(store, keep=5, with_weights=False)
    with store.reading() as connection:
        latest = next(iter(models.latest_updates_of_all(connection)))
    assert (latest.weights, latest.distance) == (None, pytest.approx(0.0))


def test_an_update_that_the_strategy_refuses_is_not_counted_and_a_better_one_is(store: Store, opened: Opened) -> None:
    cohort = opened("a", "b", strategy=Picky())
    for client in ("a", "b"):
        with pytest.raises(BrambleError, match="negative"):
            cohort.fold(client, complete(-1.0))
    assert cohort.delivered == 0
    cohort.fold("a", complete(4.0))
    model, _ = cohort.commit(store, keep=5, with_weights=True)
    assert model.tolist() == [4.0] * 4
    with store.reading() as connection:
        assert [(item.client, item.distance) for item in models.latest_updates_of_all(connection)] == [("a", 0.0)]


def test_a_failed_commit_leaves_the_store_as_it_was(store: Store, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = opened("a")
    cohort.fold("a", complete(4.0))

    def fail(*_: object) -> None:
        raise BrambleError("no more room")

    monkeypatch.setattr(models, "save", fail)
    with pytest.raises(BrambleError, match="no more room"):
        cohort.commit(store, keep=5, with_weights=True)
    assert record(store)["state"] == "running"
    with store.writing() as connection:
        cohort.abandoned("no more room")(connection)
    found = record(store)
    assert (found["state"], found["reason"], found["updates"]) == ("abandoned", "no more room", 1)
    assert found["clients"]["a"]["samples"] == 10
    with store.reading() as connection:
        assert models.latest(connection) is None
        assert list(models.latest_updates_of_all(connection)) == []


def test_one_that_delivers_after_all_is_dropped_no_more(store: Store, opened: Opened) -> None:
    cohort = opened("a", "b")
    cohort.drop("a", "disconnected")
    first = cohort.parts()["a"]["sent"]
    cohort.asked_again("a")
    cohort.fold("a", complete(1.0))
    part = cohort.parts()["a"]
    assert part["reason"] is None
    assert part["sent"] >= first
    assert (part["received"], part["train_start"], part["train_end"], part["bytes"]) == (1.0, 2.0, 3.0, 16)


def test_parts_are_a_copy_that_nobody_can_write_through(store: Store, opened: Opened) -> None:
    cohort = opened("a")
    cohort.parts()["a"]["reason"] = "mischief"
    assert cohort.parts()["a"]["reason"] is None
