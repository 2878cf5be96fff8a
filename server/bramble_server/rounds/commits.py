"""What becomes the global model: a round's aggregate once it is judged, or on request the model of an older round."""

from __future__ import annotations

import logging
import time

from sqlalchemy import Connection

from bramble_protocol.layout import Weights
from bramble_server.clock import Clock
from bramble_server.fleet.fleet import Fleet
from bramble_server.learning.judge import RECENT, Judge
from bramble_server.metrics import Metrics
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.view import Model
from bramble_server.rounds.writer import RefusedError
from bramble_server.settings import ServerSettings
from bramble_server.store import Store, models, rounds

log = logging.getLogger(__name__)


class Commits:
    """Commits models, and says whose updates do not count: when that begins and when it is over."""

    def __init__(self, settings: ServerSettings, store: Store, fleet: Fleet, metrics: Metrics, clock: Clock = time) -> None:
        self._settings, self._store, self._fleet, self._metrics = settings, store, fleet, metrics
        self._judge, self._clock = Judge(), clock
        self._left_out: set[str] = set()

    def recall(self, connection: Connection) -> None:
        """Judge from now on by the rounds that led to the model that is."""
        self._judge.recall(rounds.lineage(connection, RECENT))

    def forget(self) -> None:
        """Begin anew, after a reset."""
        self._judge = Judge()

    def finish(self, open_round: OpenRound) -> Model:
        """Make a round's updates the next model.

        Raises
        ------
        BrambleError
            If too few of them count, it would be far worse than the last, or the store refuses. All is then as it was.
        """
        model, pooled = open_round.aggregate(self._judge, max(1, self._settings.min_updates))
        open_round.commit(self._store, model, pooled, self._settings.keep_models, self._settings.mode == "evaluation")
        self._judge.committed(pooled)
        return Model(open_round.number, model, pooled)

    def restore(self, number: int, to: int) -> Model:
        """Make the model of round ``to`` the global one again, in one transaction; nothing is deleted.

        Parameters
        ----------
        number
            The commit's own, higher than any before: who has seen a model under a number never sees another under it.

        Raises
        ------
        RefusedError
            If that model is not there.
        StoreError
            If the store refuses; it is then as before.
        """
        with self._store.writing() as connection:
            weights: Weights | None = models.get(connection, to)
            if weights is None:
                there = ", ".join(map(str, models.kept(connection))) or "none"
                raise RefusedError("unknown model", f"the model of round {to} is not kept; there are those of rounds {there}")
            rounds.trim(connection, number, self._settings.keep_rounds)
            rounds.rolled_back(connection, number, to, self._clock.time())
            models.save(connection, number, weights, self._settings.keep_models)
            self.recall(connection)
        self._metrics.forget()
        log.warning("round %d: rolled back to the model of round %d", number, to)
        return Model(number, weights, {})

    def told(self, open_round: OpenRound) -> None:
        """Log, count and remark whom a round left out; a sensor stays broken for many rounds, and is named once."""
        number, answered = open_round.number, open_round.answered
        for client, reason in sorted(answered.items()):
            if reason is not None and client not in self._left_out:
                log.warning("round %d: left out %s: %s", number, client, reason)
                self._left_out.add(client)
            elif reason is None and client in self._left_out:
                log.info("round %d: %s counts again", number, client)
                self._left_out.discard(client)
        self._metrics.left_out(open_round.left_out)
        self._fleet.judged({name: reason and f"left out of round {number}: {reason}" for name, reason in answered.items()})
