"""Open rounds on the disk: begun, taken up again after a crash, let go of."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from bramble_protocol import codecs
from bramble_protocol.clock import Clock
from bramble_protocol.errors import BrambleError
from bramble_protocol.kinds import counted
from bramble_protocol.messages import SecureTerms
from bramble_protocol.secure import LEAST
from bramble_protocol.secure.noised import Noised
from bramble_server.foundation import Foundation
from bramble_server.learning.strategies import Strategy
from bramble_server.rounds import recovery
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.asking import Request
from bramble_server.rounds.cohorts import Cohort
from bramble_server.rounds.commits import Commits, End
from bramble_server.rounds.machine import Noted
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import Header, Record, RoundFile, UnderWay
from bramble_server.rounds.secure_round import REACH, WINDOWS, SecureRound
from bramble_server.rounds.view import Model
from bramble_server.store import Store, models, rounds

log = logging.getLogger(__name__)

ABANDONED = 32
"""Rounds that came to nothing of which clients are told that keep what they did not send: the newest."""


class Opening(NamedTuple):
    """A round whose file is there, and which is not on record yet."""

    open_round: OpenRound
    request: Request
    """What its clients are asked."""
    write: Callable[[Connection], None]
    """Records it as running."""


class Openings:
    """Makes open rounds, and has the files of those that are over deleted. All of it blocks."""

    def __init__(self, foundation: Foundation, store: Store, archive: Archive, commits: Commits, clock: Clock = time) -> None:
        self._task, self._settings, self._graph, self._store = foundation.task, foundation.settings, foundation.graph, store
        self._forecast = None if foundation.first or self._settings.mode == "private" else foundation.forecast
        self._archive, self._commits, self._clock = archive, commits, clock
        self._config = self._settings.training(self._graph.manifest.config)
        self._roll, self._keys = foundation.roll, dict[str, bytes]()

    def begin(
        self, number: int, cohort: Cohort, model: Model, ways: Collection[tuple[str, ...]], under_way: Mapping[str, UnderWay]
    ) -> Opening:
        """Open a round and record it as running.

        That it runs is sure to stay on the disk after :meth:`secure`. What it costs to wait for the disk its clients can train meanwhile.

        Raises
        ------
        BrambleError
            If the disk or the store refuses; it was never open then.
        """
        opening = self.prepare(number, cohort, model, ways, under_way)
        try:
            with self._store.writing(synced=False) as connection:
                opening.write(connection)
        except BaseException:
            self.discard(opening)
            raise
        return opening

    def prepare(
        self, number: int, cohort: Cohort, model: Model, ways: Collection[tuple[str, ...]], under_way: Mapping[str, UnderWay] | None = None,
        after: End | None = None,
    ) -> Opening:  # fmt: skip
        """Make a round's file, and what its clients are asked, encoded for these sets of their features; nothing is on record yet.

        Parameters
        ----------
        after
            What the round before it comes to, if it is not committed yet.

        Raises
        ------
        BrambleError
            If there is no plan for it, or the disk refuses.
        """
        settings, started = self._settings, self._clock.time()
        able = len(cohort.clients) + cohort.spare if self._commits.share < 1 else 0
        strategy, request = self._planned(number, cohort.clients, model, cohort.deadline, after, able)
        terms = request.secure
        request.pack(ways)
        size = self._graph.manifest.layout.size
        until = started + cohort.deadline
        asked = cohort.clients, started, until, under_way or {}, cohort.enough, able
        header = Header(number, self._graph.sha256, settings.mode, size, *asked)
        file = self._archive.create(header)
        if terms:
            open_round: OpenRound = SecureRound(self._task, file, model.weights, strategy, terms, self._roll, self._keys, self._clock)
        else:
            open_round = self._made(file, model, strategy)

        def write(connection: Connection) -> None:
            open_round.opened(connection, settings.keep_rounds, {**self._commits.how, **cohort.how})
            rounds.number_used(connection, number)

        return Opening(open_round, request, write)

    def secure(self, number: int) -> None:
        """Have it survive a power cut that a round is open, and its number in use.

        Raises
        ------
        StoreError
            If the store refuses.
        """
        self._store.sync(lambda connection: rounds.number_used(connection, number))

    def resume(self, file: RoundFile, records: list[Record], model: Model) -> tuple[OpenRound, dict[int, Request], list[Noted]] | None:
        """Take a round up that a former process left open.

        Return it with what its clients were asked, by the round in which they were, and what is noted of it as the machine's events.

        None if the strategy of today has no plan for it: it is abandoned then, for a server must start whatever a strategy does.
        """
        header = file.header
        try:
            strategy, request = self._planned(header.round, header.clients, model, header.seconds, able=header.able)
            requests = {header.round: request, **self.earlier(header.under_way)}
        except Exception as error:  # of a third party, perhaps
            file.close()
            self._archive.release(file.header.round)
            self._abandon(file.header.round, error)
            return None
        open_round = self._made(file, model, strategy)
        noted = open_round.restore(records)
        known = open_round.delivered, len(open_round.clients), max(0.0, open_round.left)
        log.info("round %d: goes on where a former process left it: %d of %d clients delivered, %.0f s are left", file.header.round, *known)
        return open_round, requests, noted

    def earlier(self, under_way: Mapping[str, UnderWay]) -> dict[int, Request]:
        """Return what those are asked that train for earlier rounds, by round."""
        clients: dict[int, list[str]] = {}
        for client, one in under_way.items():
            clients.setdefault(one.round, []).append(client)
        requests = {}
        for number, names in clients.items():
            with self._store.reading() as connection:
                found = models.before(connection, self._task, number)
            began = Model(*found, {}) if found else Model(0, self._graph.initial, {})
            _, requests[number] = self._planned(number, tuple(sorted(names)), began, self._settings.deadline)
        return requests

    def _terms(self, clients: int, strategy: Strategy) -> SecureTerms | None:
        """Return on what terms a round's updates are masked, if they are to be."""
        if not self._settings.secure:
            return None
        session, counts = secrets.token_hex(16), tuple(sorted(counted(self._graph.manifest).items()))
        if not strategy.summable:
            return SecureTerms(session, clients, REACH, WINDOWS, counts)
        noise = strategy.shared(max(LEAST, self._settings.min_updates))
        return SecureTerms(session, clients, Noised.of(clients, WINDOWS, noise).reach, WINDOWS, counts, noise)

    def _made(self, file: RoundFile, model: Model, strategy: Strategy) -> OpenRound:
        return OpenRound(self._task, file, model.weights, strategy, self._clock, self._settings.staleness_exponent)

    def _abandon(self, number: int, error: Exception) -> None:
        known = isinstance(error, BrambleError)
        reason = f"it cannot go on: {error}" if known else "it cannot go on: the strategy has no plan for it, the server's log says why"
        log.warning("round %d: abandoned: %s", number, reason, exc_info=None if known else error)
        with self._store.writing() as connection:
            rounds.abandoned(connection, number, self._clock.time(), 0, reason)

    def discard(self, opening: Opening) -> None:
        """Have a round that was prepared never been."""
        opening.open_round.close()
        self._archive.discard(opening.open_round.number)

    def _planned(
        self, number: int, clients: tuple[str, ...], model: Model, seconds: float, after: End | None = None, able: int = 0
    ) -> tuple[Strategy, Request]:
        strategy, plan = self._commits.open(number, clients, model, replace(self._config, deadline_s=seconds), after, able)
        champion = self._commits.champions.beside(model, after and after.change)
        nothing = self._came_to_nothing() if codecs.find(self._commits.codec.encoding).partial else {}
        terms = self._terms(len(clients), strategy)
        return strategy, Request(number, self._task, self._graph, model, self._settings, plan, self._forecast, champion, nothing, terms)

    def _came_to_nothing(self) -> dict[str, tuple[int, ...]]:
        with self._store.reading() as connection:
            return rounds.came_to_nothing(connection, self._task, ABANDONED)

    def let_go(self, open_round: OpenRound, committed: bool) -> None:
        """Delete what nobody needs once a round is over."""
        open_round.close()
        archive, number, task = self._archive, open_round.number, self._task
        archive.release(number)
        latest = archive.latest
        if self._settings.mode != "evaluation" or latest is None:
            if not committed:
                archive.discard(number)
            recovery.tidy(self._store, archive, self._settings.mode)
            return
        former = {number}  # which stays if anybody's update of it counts as the last
        if committed:
            mine = [(task, client) for client in open_round.answered]
            former |= {latest[key] for key in mine if key in latest}
            latest |= dict.fromkeys(mine, number)
        for unused in former.difference(latest.values()):
            if not archive.discard(unused):
                archive.latest = None  # so that the next round's end tries all of them again
