"""The work of one open round of which nobody sees a single update: masked words go into a sum as they come, and are kept nowhere else."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from bramble_protocol.clock import Clock
from bramble_protocol.errors import BrambleError, ProtocolError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate, Delivery, Masked, SecureTerms, SecureTold
from bramble_protocol.secure.fixed import metrics_of
from bramble_server.learning.judge import Judge, Report
from bramble_server.learning.strategies import Aggregate, Strategy, Update, conclude
from bramble_server.rounds.champions import Findings
from bramble_server.rounds.machine import Said
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import RoundFile

if TYPE_CHECKING:
    from bramble_protocol.secure.roll import Roll

REACH = 8.0
"""Largest change of a weight in a round; a client whose change is longer in any shortens it as a whole."""
WINDOWS = 1000
"""Training windows from which on a client counts wholly."""
SUM = "the sum"
"""What stands for all clients where one is named: of a sum nobody can say whose fault it is."""


class SecureRound(OpenRound):
    """Gathers a round's sum; its parameters are those of an open round and those of the sum.

    Parameters
    ----------
    terms
        What its clients were told of the sum.
    roll
        Whose keys are whose, if the server knows it.
    former
        Keys that clients had in rounds before; those of this one take their place.
    """

    def __init__(
        self, task: str, file: RoundFile, model: Weights, strategy: Strategy, terms: SecureTerms, roll: Roll | None = None,
        former: dict[str, bytes] | None = None, clock: Clock = time,
    ) -> None:  # fmt: skip
        from bramble_protocol.secure.collector import Collector  # which needs cryptography, and plain rounds do without

        super().__init__(task, file, model, strategy, clock)
        self._collector = Collector(terms.context(task, self.number), terms.encoding, len(model), roll, former)
        self._former, self._in_it, self._pooled = former, set[str](), dict[str, float]()
        self._words: dict[str, Masked | BrambleError] = {}
        self.liars: Mapping[str, str] = {}
        """Clients whose shares did not verify, and why; known after :meth:`aggregate`."""

    @property
    def small(self) -> bool:
        """No: it ends with shares, and not with an update."""
        return False

    def take(self, delivered: Iterable[tuple[str, Delivery, ClientUpdate | None]]) -> None:
        """Hold masked words in memory until :meth:`fold` adds them up."""
        refused = ProtocolError("encoding: this round takes masked words alone, which nobody can read one by one")
        self._words = {client: delivery if isinstance(delivery, Masked) else refused for client, delivery, _ in delivered}

    def holds(self, client: str) -> bool:
        """Return whether words of this client were among those that were just taken."""
        return client in self._words

    def sync(self) -> None:
        """Do nothing: a sum does not outlive its process, so nothing of it is put on a disk."""

    def fold(self, client: str) -> None:
        """Add a client's words.

        Raises
        ------
        ProtocolError
            If they are not masked words, or not as many as the model takes.
        """
        words = self._words[client]
        if isinstance(words, BrambleError):
            raise words
        self._collector.mask(client, words.data)
        del self._words[client]
        self._in_it.add(client)
        self._parts[client] |= {"replied": self._clock.time(), "bytes": words.nbytes}

    def keep(self, said: Said) -> None:
        """Take what a client says in a phase.

        Raises
        ------
        ProtocolError
            If it is not what the phase wants.
        """
        self._collector.take(said.client, said.phase, said.data)
        if said.phase == "keys" and self._former is not None:
            self._former[said.client] = said.data

    def told(self, phase: str, clients: Collection[str]) -> Iterator[tuple[list[str], SecureTold]]:
        """Yield what clients are told that go on into a phase, those together that are told the same."""
        told = self._collector.told(phase, clients)
        for (names, data), alike in groupby(told, told.__getitem__):
            yield list(alike), SecureTold(self.number, phase, tuple(names), data)

    @property
    def delivered(self) -> int:
        """Number of clients that are in the sum."""
        return len(self._in_it)

    @property
    def answered(self) -> dict[str, str | None]:
        """Nobody: of no client there is an update that could be kept or judged."""
        return {}

    @property
    def remark(self) -> str | None:
        """Whose shares did not verify, in one sentence; None if all did."""
        return "; ".join(f"{client}: {reason}" for client, reason in sorted(self.liars.items())) or None

    def aggregate(self, judge: Judge, needed: int) -> tuple[Aggregate, dict[str, float]]:
        """Open the sum, and have the strategy make the next model of the mean.

        Raises
        ------
        BrambleError
            If it stays closed, or the model would be far worse than the last or is not finite.
        """
        if self.delivered < needed:
            raise BrambleError(f"{self.delivered} updates are in the sum, a round needs {needed}")
        change, totals, self.counts, self.liars = self._collector.open()
        self._strategy.begin(self._model)
        if self._strategy.summable:  # nobody refuses what it says: the server has seen it, and a refusal would not be counted
            self._strategy.summed(change, totals)
            aggregate = conclude(self._strategy, self._model)
            self._pooled = dict(self._strategy.measures())
            return aggregate, self._pooled
        self._pooled = metrics_of(totals)
        report = Report(SUM, float(np.linalg.norm(change)), round(totals["samples"]), self._pooled)
        verdict = judge.verdicts([report], float(np.linalg.norm(self._model)))[SUM]
        if reason := verdict.reason or judge.explosion([report], self._pooled):
            raise BrambleError(reason)
        weights = (self._model + change).astype(np.float32)
        self._strategy.fold(Update(SUM, max(1, round(totals["weight"])), weights, self._pooled))
        return conclude(self._strategy, self._model), self._pooled

    def tested(self, champion: int | None) -> Findings:
        """Return what its clients found, taken together."""
        return Findings(self._pooled)
