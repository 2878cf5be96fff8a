"""The work of one open round: what its clients delivered so far, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from protocol.layout import Weights
from protocol.messages import TrainingComplete
from server.aggregate import pool_metrics
from server.spool import Spool
from server.store import Store, models, rounds
from server.store.models import LatestUpdate
from server.store.schema import MEASURES
from server.strategies import Strategy


class Cohort:
    """Gathers a round's updates; writes them to the store with the round's end, in one transaction.

    Parameters
    ----------
    number
        The round.
    clients
        Whom it asks.
    model
        The global model that it starts from, shape (parameters,).
    strategy
        Begun anew with it.
    folder
        Where the updates are put aside.
    """

    def __init__(self, number: int, clients: tuple[str, ...], model: Weights, strategy: Strategy, folder: Path) -> None:
        self.number, self.started, self._start = number, time.time(), time.monotonic()
        self._model, self._strategy = model, strategy
        self._spool = Spool(len(model), folder)
        self._reports: dict[str, tuple[int, dict[str, float]]] = {}
        self._parts: dict[str, dict[str, Any]] = {client: _blank(sent=self.started) for client in clients}
        strategy.begin(model)

    def opened(self, connection: Connection, keep: int) -> None:
        """Record the round as running, and keep only so many in all."""
        rounds.trim(connection, self.number, keep)
        rounds.opened(connection, self.number, self.started, list(self._parts), sent=self.started)

    def asked_again(self, client: str) -> None:
        """Note that the model was sent to a client once more."""
        self._parts[client]["sent"] = time.time()

    def fold(self, client: str, complete: TrainingComplete) -> None:
        """Take an update in.

        Raises
        ------
        BrambleError
            If the strategy refuses it or the disk is full; nothing is counted then.
        """
        self._spool.append(client, complete.weights)
        self._strategy.fold(complete.weights, complete.samples, complete.metrics)
        metrics = dict(complete.metrics)
        self._reports[client] = (complete.samples, metrics)
        timing = complete.timing
        self._parts[client] = _blank(
            sent=self._parts[client]["sent"],
            received=timing.received,
            train_start=timing.train_start,
            train_end=timing.train_end,
            replied=time.time(),
            bytes=complete.nbytes,
            samples=complete.samples,
            **{name: metrics.get(name) for name in ("loss_before", "loss_after", "test_error", "test_baseline", "test_samples")},
        )

    def drop(self, client: str, reason: str) -> None:
        """Note why the round goes on without a client."""
        self._parts[client]["reason"] = reason

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each client's part so far."""
        return {client: dict(part) for client, part in self._parts.items()}

    @property
    def seconds(self) -> float:
        """How long the round has been open, whatever was done to the machine's clock meanwhile."""
        return time.monotonic() - self._start

    @property
    def delivered(self) -> int:
        """Number of updates that were folded."""
        return len(self._reports)

    def commit(self, store: Store, keep: int, with_weights: bool) -> tuple[Weights, dict[str, float]]:
        """Make the next global model and write everything about the round in one transaction.

        Parameters
        ----------
        keep
            How many models the store keeps.
        with_weights
            Whether clients' weights are kept too (evaluation mode).

        Returns
        -------
        tuple
            The model, shape (parameters,), and the round's pooled metrics.

        Raises
        ------
        BrambleError
            If the model is not finite or the store refuses; the store is then as before.
        """
        model = self._strategy.finish()
        pooled = pool_metrics(self._reports.values())
        with store.writing() as connection:
            for measure, weights in self._spool.measures(self._model, model):
                if measure.client not in self._reports:
                    continue  # put aside, then refused by the strategy
                samples, metrics = self._reports[measure.client]
                found = {"update_norm": measure.update_norm, "cosine": measure.cosine, "distance": measure.distance}
                self._parts[measure.client].update(found)
                latest = LatestUpdate(measure.client, self.number, samples, metrics, **found, weights=weights if with_weights else None)
                models.save_update(connection, latest)
            self._write_parts(connection)
            rounds.committed(connection, self.number, time.time(), self.delivered, pooled)
            models.save(connection, self.number, model, keep)
        return model, pooled

    def abandoned(self, reason: str) -> Callable[[Connection], None]:
        """Return what writes that the round came to nothing, now or later."""
        ended, delivered = time.time(), self.delivered

        def write(connection: Connection) -> None:
            self._write_parts(connection)
            rounds.abandoned(connection, self.number, ended, delivered, reason)

        return write

    def close(self) -> None:
        """Let go of what was put aside."""
        self._spool.close()

    def _write_parts(self, connection: Connection) -> None:
        rounds.parts(connection, self.number, [{"client": client, **part} for client, part in self._parts.items()])


def _blank(**known: Any) -> dict[str, Any]:
    return {**dict.fromkeys((*MEASURES, "reason")), **known}


def losses(metrics: dict[str, float]) -> str:
    """Return what a round did to the loss, as the log says it."""
    if "loss_before" not in metrics or "loss_after" not in metrics:
        return ""
    return f", loss {metrics['loss_before']:.4g} -> {metrics['loss_after']:.4g}"
