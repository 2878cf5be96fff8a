"""The work of one open round: what its clients delivered so far, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import TrainingComplete
from bramble_protocol.reasons import LEFT_OUT
from bramble_server.clock import Clock
from bramble_server.learning.aggregate import pool_metrics
from bramble_server.learning.judge import Judge, Report, Verdict, cap
from bramble_server.learning.strategies import Aggregate, Strategy, Update, conclude
from bramble_server.rounds.spool import Spool, length
from bramble_server.store import Store, models, rounds
from bramble_server.store.models import LatestUpdate, Memory
from bramble_server.store.schema import MEASURES


class OpenRound:
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
        Made for this round.
    folder
        Where the updates are put aside.
    """

    def __init__(
        self, number: int, clients: tuple[str, ...], model: Weights, strategy: Strategy, folder: Path, clock: Clock = time
    ) -> None:
        self.number, self.started, self._start, self._clock = number, clock.time(), clock.monotonic(), clock
        self._model, self._strategy = model, strategy
        self._spool = Spool(len(model), folder)
        self._reports: dict[str, Report] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._parts: dict[str, dict[str, Any]] = {client: _blank(sent=self.started) for client in clients}

    def opened(self, connection: Connection, keep: int) -> None:
        """Record the round as running, and keep only so many in all."""
        rounds.trim(connection, self.number, keep)
        rounds.opened(connection, self.number, self.started, list(self._parts), sent=self.started)

    def asked_again(self, client: str) -> None:
        """Note that the model was sent to a client once more."""
        self._parts[client]["sent"] = self._clock.time()

    def fold(self, client: str, complete: TrainingComplete) -> None:
        """Put an update aside: what it is worth beside the others is known when the last has come.

        Raises
        ------
        BrambleError
            If the disk is full; nothing is counted then.
        """
        self._spool.append(client, complete.weights)
        metrics = dict(complete.metrics)
        self._reports[client] = Report(client, length(complete.weights, self._model), complete.samples, metrics)
        timing = complete.timing
        self._parts[client] = _blank(
            sent=self._parts[client]["sent"],
            received=timing.received,
            train_start=timing.train_start,
            train_end=timing.train_end,
            replied=self._clock.time(),
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
        return self._clock.monotonic() - self._start

    @property
    def delivered(self) -> int:
        """Number of updates that came and were not left out."""
        return len(self._reports) - len(self.left_out)

    @property
    def left_out(self) -> dict[str, str]:
        """Clients whose updates came and do not count, and why; known after :meth:`aggregate`."""
        return {client: verdict.reason for client, verdict in self._verdicts.items() if verdict.reason is not None}

    @property
    def answered(self) -> dict[str, str | None]:
        """Clients whose updates came, each with the reason why it does not count, or None."""
        return {client: self.left_out.get(client) for client in self._reports}

    def aggregate(self, judge: Judge, needed: int) -> tuple[Aggregate, dict[str, float]]:
        """Judge the updates, and make the next global model of those that count.

        Parameters
        ----------
        judge
            Of all rounds.
        needed
            Updates that must count.

        Returns
        -------
        tuple
            The model with its strategy's state, and the round's pooled metrics.

        Raises
        ------
        BrambleError
            If too few count, the model would be far worse than the last, or it is not finite.
        """
        self._verdicts = judge.verdicts(list(self._reports.values()), length(self._model, np.zeros_like(self._model)))
        self._fold()
        for client, reason in self.left_out.items():
            self._parts[client]["reason"] = f"{LEFT_OUT}{reason}"
        if self.delivered < needed:
            raise BrambleError(f"{self.delivered} updates count, a round needs {needed}; {self.remark}")
        counted = [report for client, report in self._reports.items() if client not in self.left_out]
        tested = [tests for report in counted if (tests := report.metrics.get("test_samples", 0.0))]  # who tested nothing says nothing
        most = cap(tested) if tested else 1
        pooled = pool_metrics(self._verdicts[report.client].pooled(report.metrics, most) for report in counted)
        exploded = judge.explosion(counted, pooled)
        if exploded:
            raise BrambleError(exploded)
        return conclude(self._strategy, self._model), pooled

    @property
    def remark(self) -> str | None:
        """Who was left out and why, in one sentence; None if nobody was."""
        return "; ".join(f"left out {client}: {reason}" for client, reason in sorted(self.left_out.items())) or None

    def _fold(self) -> None:
        self._strategy.begin(self._model)
        for client, weights in self._spool:
            verdict = self._verdicts[client]
            if verdict.reason is not None:
                continue
            if verdict.reach < 1:
                weights -= self._model
                weights *= np.float32(verdict.reach)
                weights += self._model
            try:
                self._strategy.fold(Update(client, verdict.samples, weights, self._reports[client].metrics))
            except BrambleError as error:
                self._verdicts[client] = replace(verdict, reason=str(error))

    def commit(self, store: Store, model: Weights, memory: Memory, pooled: dict[str, float], keep: int, with_weights: bool) -> None:
        """Write everything about the round, and its model with what belongs to it, in one transaction.

        Parameters
        ----------
        model, memory, pooled
            What :meth:`aggregate` came to.
        keep
            How many models the store keeps.
        with_weights
            Whether clients' weights are kept too (evaluation mode).

        Raises
        ------
        BrambleError
            If the store refuses; it is then as before.
        """
        with store.writing() as connection:
            for measure, weights in self._spool.measures(self._model, model):
                report = self._reports[measure.client]
                found = {"update_norm": measure.update_norm, "cosine": measure.cosine, "distance": measure.distance}
                self._parts[measure.client].update(found)
                kept = weights if with_weights else None
                latest = LatestUpdate(measure.client, self.number, report.samples, report.metrics, **found, weights=kept)
                models.save_update(connection, latest)
            self._write_parts(connection)
            rounds.committed(connection, self.number, self._clock.time(), self.delivered, pooled, self.remark)
            models.save(connection, self.number, model, memory, keep)

    def abandoned(self, reason: str) -> Callable[[Connection], None]:
        """Return what writes that the round came to nothing, now or later."""
        ended, delivered = self._clock.time(), self.delivered

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
