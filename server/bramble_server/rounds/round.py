"""The work of one open round: what its clients delivered so far, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection

from bramble_protocol.clock import Clock
from bramble_protocol.errors import BrambleError
from bramble_protocol.kinds import Counts
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate, Delivery
from bramble_protocol.reasons import GONE, LEFT_OUT
from bramble_server.learning import counting
from bramble_server.learning.aggregate import in_words, pool_metrics
from bramble_server.learning.judge import Judge, Report, Verdict, cap
from bramble_server.learning.staleness import moved
from bramble_server.learning.strategies import Aggregate, Aside, Strategy, conclude, shortened
from bramble_server.rounds import parts
from bramble_server.rounds.champions import Duel, Findings
from bramble_server.rounds.divergence import length, measure
from bramble_server.rounds.folding import fold
from bramble_server.rounds.going import note
from bramble_server.rounds.machine import Failed, Joined, Left, Noted, Update
from bramble_server.rounds.roundfile import Record, RoundFile, RoundFileError
from bramble_server.store import Store, models, rounds
from bramble_server.store.models import LatestUpdate, Memory

SMALL = 1 << 23
"""Bytes of a round's file up to which all that it holds is judged, folded and committed in some milliseconds."""


class OpenRound:
    """Gathers a round's updates; writes them to the store with the round's end, in one transaction.

    Parameters
    ----------
    task
        Whose round it is.
    file
        Where all that happens is noted, and the updates are put aside.
    model
        The global model that it starts from, shape (parameters,).
    strategy
        Made for this round.
    exponent
        How fast an update counts less that is of an earlier model.
    """

    def __init__(self, task: str, file: RoundFile, model: Weights, strategy: Strategy, clock: Clock = time, exponent: float = 0.0) -> None:
        self._task = task
        self.number, self.started, self._deadline = file.header.round, file.header.started, file.header.deadline
        self._since, self._then, self._clock = self.started, clock.monotonic(), clock
        self._file, self._model, self._strategy, self._bounded = file, model, strategy, strategy.release is not None
        self.enough, self.given = file.header.enough, file.header.seconds
        self._taken: dict[str, Record | Exception] = {}
        self._records: dict[str, Record] = {}
        self._reports: dict[str, Report] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._under_way, self._exponent = file.header.under_way, exponent
        self._parts: dict[str, dict[str, Any]] = {client: parts.blank(sent=self.started) for client in file.header.clients}
        self._parts |= {client: parts.blank(sent=one.sent, asked=one.round) for client, one in self._under_way.items()}
        self.counts: Counts = {}  # of those that count, pooled; known after `aggregate`
        self.attempts = 0
        """How often it was tried to make a model of it, in former processes too."""
        self.recorded = False  # whether a power cut would leave it on record as open

    def restore(self, records: Iterable[Record]) -> list[Noted]:
        """Take in what a former process noted; return it as the machine's events.

        The round's own clock goes on from the last of it: one that was turned back meanwhile does not give the round more time.
        """
        events: list[Noted] = []
        self._since = self._clock.time()
        for record in records:
            self._since = max(self._since, record.about["at"])
            match record.about:
                case {"kind": "update", "client": client}:
                    self._count(record)
                    events.append(Update(client, self._asked(client)))
                case {"kind": "failed", "client": client, "reason": reason}:
                    self.drop(client, reason)
                    events.append(Failed(client, self._asked(client), reason))
                case {"kind": "left", "client": client}:
                    self.drop(client, GONE)
                    events.append(Left(client))
                case {"kind": "joined", "client": client, "at": asked}:
                    self._parts[client]["sent"] = asked
                    events.append(Joined(client))
                case {"kind": "attempt"}:
                    self.attempts += 1
        return events

    def opened(self, connection: Connection, keep: int, how: Mapping[str, Any] | None = None) -> None:
        """Record the round as running, and what it goes by, and keep only so many of its task."""
        rounds.trim(connection, self._task, self.number, keep)
        rounds.opened(connection, self._task, self.number, self.started, list(self._file.header.clients), self.started, how)

    def asked_again(self, client: str) -> None:
        """Note that the model was sent to a client once more."""
        self._parts[client]["sent"] = self._clock.time()

    def note(self, event: Failed | Left | Joined) -> None:
        """Note in the file what became of a client; after a power cut it may be asked once more than needed."""
        reason = {"reason": event.reason} if isinstance(event, Failed) else {}
        with suppress(RoundFileError):  # the next update has it said
            self._file.append({"kind": type(event).__name__.lower(), "client": event.client, "at": self._now, **reason})

    def take(self, delivered: Iterable[tuple[str, Delivery, ClientUpdate | None]]) -> None:
        """Decode updates and put them aside; whether each may count, :meth:`fold` says. They are there to stay after a :meth:`sync`.

        Parameters
        ----------
        delivered
            Clients, what each brought, and what it was asked.
        """
        self._taken = {}
        for client, delivery, asked in delivered:
            if client not in self._taken:
                self._taken[client] = self._append(client, delivery, asked)

    def holds(self, client: str) -> bool:
        """Return whether an update of this client was among those that were just taken."""
        return client in self._taken

    def has_taken(self, clients: Collection[str]) -> bool:
        """Whether good updates of all these clients were among those that were just taken."""
        return len(clients) <= len(self._taken) and all(isinstance(self._taken.get(client), Record) for client in clients)

    @property
    def small(self) -> bool:
        """Whether its end comes so soon after its last update that who sent it can wait for that."""
        return self._file.size <= SMALL

    def sync(self) -> None:
        """Have what was just taken survive a power cut; where that cannot be, :meth:`fold` counts none of it."""
        try:
            self.secure()
        except RoundFileError as error:
            self._taken = dict.fromkeys(self._taken, error)

    def secure(self) -> None:
        """Have all that is noted survive a power cut.

        Raises
        ------
        RoundFileError
            If the disk refuses.
        """
        self._file.sync()

    def _append(self, client: str, delivery: Delivery, asked: ClientUpdate | None) -> Record | Exception:
        about = {
            "kind": "update",
            "client": client,
            "at": self._now,
            "replied": self._clock.time(),
            "samples": delivery.samples,
            "metrics": dict(delivery.metrics),
            "timing": dict(vars(delivery.timing)),
            "bytes": delivery.nbytes,
        }
        try:
            found = delivery.open(asked)
            earlier = asked is not None and asked.round != self.number
            weights = moved(found.weights, asked.base, self._model) if asked and earlier else found.weights
            beside = {"steps": found.steps, "since": found.since, "sections": list(found.sections) or None, "counts": found.counts or None}
            about |= {"norm": length(weights, self._model), **{name: told for name, told in beside.items() if told is not None}}
            return self._file.append(about, weights, *found.sections.values())
        except Exception as error:  # its own matter: the others go on
            return error

    def fold(self, client: str) -> None:
        """Count the update that was just taken: what it is worth beside the others is known when the last has come.

        Raises
        ------
        BrambleError
            If its weights cannot be decoded, or the disk is full; nothing is counted then.
        """
        taken = self._taken[client]
        if isinstance(taken, Exception):
            raise taken
        if client not in self._records:  # it was ended ahead, perhaps
            self._count(taken)

    def _count(self, record: Record) -> None:
        about, client = record.about, record.about["client"]
        metrics, samples = ({}, None) if self._bounded else (about["metrics"], about["samples"])
        self._records[client] = record
        self._reports[client] = Report(client, about["norm"], about["samples"], metrics, about.get("counts", {}))
        self._parts[client] = parts.answered({**about, "metrics": metrics, "samples": samples}, self._parts[client])

    def drop(self, client: str, reason: str) -> None:
        """Note why the round goes on without a client."""
        self._parts[client]["reason"] = reason

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each client's part so far."""
        return {client: dict(part) for client, part in self._parts.items()}

    @property
    def clients(self) -> dict[str, int]:
        """The clients that take part, each with the round that it was asked in."""
        return {client: self._asked(client) for client in self._parts}

    def _asked(self, client: str) -> int:
        return self._parts[client]["asked"] or self.number

    @property
    def _now(self) -> float:
        """Seconds since 1970 by the round's own clock, which nobody turns back or on while it is open."""
        return self._since + self._clock.monotonic() - self._then

    @property
    def seconds(self) -> float:
        """How long the round has been open."""
        return self._now - self.started

    @property
    def left(self) -> float:
        """Seconds until its deadline."""
        return self._deadline - self._now

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
        left_out = self.left_out
        return {client: left_out.get(client) for client in self._reports}

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
        with suppress(RoundFileError):
            self._file.append({"kind": "attempt", "at": self._now})
        norm, compared = length(self._model, np.zeros_like(self._model)), self._strategy.compared
        self._verdicts = judge.verdicts(list(self._reports.values()), norm, compared)
        self._fold()
        for client, reason in self.left_out.items():
            self._parts[client]["reason"] = f"{LEFT_OUT}{reason}"
        if (came := len(self._reports)) < (least := self._strategy.least):
            raise BrambleError(f"{came} updates came, and {type(self._strategy).__name__} makes nothing of fewer than {least}")
        if self.delivered < needed:
            raise BrambleError(f"{self.delivered} updates count, a round needs {needed}; {self.remark}")
        counted, measures = self._counted()
        pooled, self.counts = pool_metrics(measures) | counting.spread(measures), counting.pool(counted, measures)
        if compared and (exploded := judge.explosion(counted, pooled)):
            raise BrambleError(exploded)
        return conclude(self._strategy, self._model), dict(self._strategy.measures()) if self._bounded else pooled

    def _counted(self) -> tuple[list[Report], list[tuple[int, dict[str, float]]]]:
        """Return the reports that count, and samples and metrics of each as they are pooled."""
        counted = [report for client, report in self._reports.items() if self._verdicts[client].reason is None]
        tested = [tests for report in counted if (tests := report.metrics.get("test_samples", 0.0))]  # who tested nothing says nothing
        most = cap(tested) if tested else 1
        return counted, [self._verdicts[report.client].pooled(report.metrics, most) for report in counted]

    def tested(self, champion: int | None) -> Findings:
        """Return what those that count found of the model that it began with, and of a champion; once it is judged, whatever came of it."""
        _, measures = self._counted()
        return Findings(pool_metrics(measures), Duel.of((metrics for _, metrics in measures), champion))

    @property
    def remark(self) -> str | None:
        """Who was left out and why, in one sentence; None if nobody was."""
        return "; ".join(f"left out {client}: {reason}" for client, reason in sorted(self.left_out.items())) or None

    def summary(self, metrics: Mapping[str, float]) -> str:
        """Return what it came to, and did to the loss, as the log says it."""
        return f"{self.delivered} updates in {self.seconds:.2f} s{in_words(metrics)}"

    def _updates(self) -> Iterator[tuple[str, Weights]]:
        """Yield client and weights by client, whoever came first; the array may be written to, and is reused for the next one."""
        weights = np.empty(len(self._model), np.float32)
        for client, record in sorted(self._records.items()):
            self._file.read(record, weights)
            yield client, weights

    def _fold(self) -> None:
        refused = fold(
            self._strategy, self._model, self._updates(), self._records, self._verdicts, self._file.read, self._aside,
            lambda client: self._under_way[client].staleness if client in self._under_way else 0, self._exponent,
        )  # fmt: skip
        self._verdicts |= {client: replace(self._verdicts[client], reason=reason) for client, reason in refused.items()}

    def _aside(self, record: Record, reach: float = 1.0) -> Aside:
        def read(start: int, part: Weights) -> None:
            self._file.read(record, part, start=start)

        return read if reach == 1 else shortened(read, self._model, reach)

    def lie(self, model: Weights) -> dict[str, dict[str, Any]]:
        """Return, and note with each part, how the updates lie to the model that was made of them."""
        aside = {client: self._aside(record) for client, record in ([] if self._bounded else sorted(self._records.items()))}
        found = {client: vars(divergence) for client, divergence in measure(aside, self._model, model).items()}
        for client, measures in found.items():
            self._parts[client].update(measures)
        return found

    @property
    def weights(self) -> dict[str, float]:
        """What each update counted for, samples less what it was shortened by; nothing where nobody's are compared with others'."""
        verdicts = self._verdicts.items() if self._strategy.compared else ()
        return {client: each.samples * each.reach for client, each in verdicts if each.reason is None}

    def commit(
        self, store: Store, model: Weights, memory: Memory, pooled: dict[str, float], keep: int, going: Mapping[str, int] | None = None,
        also: Callable[[Connection], None] = lambda connection: None,
    ) -> None:  # fmt: skip
        """Write everything about the round, and its model with what belongs to it, in one transaction.

        Parameters
        ----------
        model, memory, pooled
            What :meth:`aggregate` came to.
        keep
            How many models the store keeps of its task.
        going
            If another round follows at once, who trains on for that, each with the round that it was asked in.
        also
            What else is written, before models are let go.

        Raises
        ------
        BrambleError
            If the store refuses; it is then as before.
        """
        with store.writing() as connection:
            latest = []
            for client, found in self.lie(model).items():
                report = self._reports[client]
                latest.append(LatestUpdate(self._task, client, self.number, report.samples, report.metrics, **found))
            models.save_updates(connection, *latest)
            self._write_parts(connection)
            rounds.committed(connection, self.number, self._clock.time(), self.delivered, pooled, self.remark)
            also(connection)
            models.save(connection, self._task, self.number, model, memory, keep)
            if going is not None:
                under_way = {client: (asked, self._parts[client]["sent"]) for client, asked in going.items()}
                note(connection, self._task, self.number, under_way)

    def abandoned(self, reason: str, also: Callable[[Connection], None] = lambda connection: None) -> Callable[[Connection], None]:
        """Return what writes that the round came to nothing, and what else there is, now or later."""
        ended, delivered = self._clock.time(), self.delivered

        def write(connection: Connection) -> None:
            self._write_parts(connection)
            rounds.abandoned(connection, self.number, ended, delivered, reason)
            also(connection)

        return write

    def leave(self) -> None:
        """Let go of the file with all that was noted, for a next process to go on with."""
        with suppress(RoundFileError):  # nothing that was acknowledged is lost by it
            self.secure()
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write_parts(self, connection: Connection) -> None:
        later = {client for client in self._under_way if (self._parts[client]["replied"], self._parts[client]["reason"]) == (None, None)}
        rounds.parts(connection, self.number, [{"client": client, **part} for client, part in self._parts.items() if client not in later])
