"""Runs the round machine: the only writer of state, owner of the clock, performer of the machine's actions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from bramble_protocol import privacy, reasons
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import DataUpdate, Delivery, TrainingFailed
from bramble_server.clock import Clock
from bramble_server.fleet.complaints import Complaints
from bramble_server.fleet.fleet import REMEMBERED, Fleet
from bramble_server.fleet.registry import Registry
from bramble_server.metrics import Metrics
from bramble_server.rounds import recovery, synchronous
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.commits import Commits
from bramble_server.rounds.cycle import World
from bramble_server.rounds.endings import Endings
from bramble_server.rounds.opening import Openings
from bramble_server.rounds.outward import Outward
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.schedule import Schedule
from bramble_server.rounds.view import Model, View
from bramble_server.rounds.writer import RefusedError, Reply, Runtime, Writer
from bramble_server.settings import ServerSettings
from bramble_server.store import Store, StoreError, meta, mirror
from bramble_server.store import reset as forget_everything

log = logging.getLogger(__name__)

STOP_S = 3.0
"""Seconds that ending may take; a round that is still open after that goes on at the next start."""


class Coordinator:
    """Takes what happens, one after the other, through the pure machine of :mod:`bramble_server.rounds.synchronous`.

    Its methods may be called from anywhere; each waits for the one writer. They raise ``RefusedError`` for a no.
    """

    def __init__(
        self, settings: ServerSettings, graph: GraphFile, store: Store, fleet: Fleet, outward: Outward, runtime: Runtime, metrics: Metrics,
        archive: Archive, clock: Clock = time,
    ) -> None:  # fmt: skip
        self._settings, self._graph, self._store, self._fleet = settings, graph, store, fleet
        self._out, self._runtime, self._metrics, self._clock = outward, runtime, metrics, clock
        self._initial = Model(0, graph.initial, {})
        self._schedule = Schedule(settings.rounds, settings.every)
        self._writer = Writer(store, runtime, self._due, self._tick, clock)
        self._said = Complaints(clock.monotonic)
        self._endings = Endings(self._write, lambda: bool(store.trouble))
        self._open: OpenRound | None = None
        self._commits = Commits(settings, store, fleet, metrics, clock)
        self._openings = Openings(settings, graph, store, archive, self._commits, clock)
        self._deadline = 0.0
        self._recover(archive)

    def _recover(self, archive: Archive) -> None:
        settings, clock = self._settings, self._clock
        with self._store.writing() as connection:
            left = recovery.recover(connection, settings, self._graph, archive, clock)
            self._commits.recall(connection)
        self._registry = Registry(self._fleet, left.clients, clock.monotonic)
        self._behind = left.behind
        self._world = World(left.world, settings.data_start.timestamp(), self._graph.manifest.step_s)
        model = left.model or self._initial
        self._metrics.measured(model.metrics)
        self._view = View(1, model, cycle=self._world.cycle)
        self._state = synchronous.State(synchronous.Rules(settings.min_clients, settings.min_updates), left.last, None, left.answered)
        if left.open_round and (resumed := self._openings.resume(*left.open_round, model)):
            self._open, self._request, running = resumed
            self._state = replace(self._state, running=running)
            self._go_on(self._open)
            self._changed()
        self._tidy(erase=settings.mode == "private")

    # What others may ask and do

    @property
    def view(self) -> View:
        """What is the case now."""
        return self._view

    def progress(self) -> tuple[int, dict[str, dict[str, Any]]] | None:
        """Return the open round and what is known of each client's part in it."""
        open_round = self._open
        return (open_round.number, open_round.parts()) if open_round else None

    def start(self) -> None:
        """Begin to work."""
        self._writer.start()
        if self._open:
            self._writer.post(lambda reply: self._feed(synchronous.Resumed(), reply))

    def stop(self) -> None:
        """Stop; an open round goes on at the next start."""

        def last(reply: Reply) -> None:
            self._registry.keep(self._write)
            if self._open:
                self._runtime.offload(self._open.leave)

        self._writer.stop(last, STOP_S)

    def settle(self) -> None:
        """Return once everything that was asked for before is done."""
        self._writer.submit(lambda _: None)

    def start_round(self) -> synchronous.Open:
        """Open a round with all connected clients."""
        opened: synchronous.Open = self._writer.submit(lambda reply: self._feed(self._start(), reply))
        return opened

    def deliver(self, client: str, delivery: Delivery) -> None:
        """Take a client's update; in private mode without the measures that are means over too few samples."""
        if self._settings.mode == "private":
            delivery = replace(delivery, metrics=privacy.told(delivery.samples, delivery.metrics))
        event = synchronous.Update(client, delivery.round)
        self._writer.take((event, delivery), self._put_aside, lambda reply: self._feed(event, reply))

    def fail(self, client: str, failed: TrainingFailed) -> None:
        """Take the word of a client that it will not train, and why."""
        self._writer.submit(lambda reply: self._feed(synchronous.Failed(client, failed.round, failed.reason), reply))

    def refused(self, client: str, number: int | None, reason: str) -> None:
        """Count a client as failed whose update was refused for good: the round need not wait for it. Does not wait.

        Parameters
        ----------
        number
            The round that its update names, or ``None`` where it names none: then it was meant for the open one.
        """

        def work(reply: Reply) -> None:
            running = self._state.running
            if running and number in (None, running.number):
                self._feed(synchronous.Failed(client, running.number, reason), reply)

        self._writer.post(work)

    def joined(self, client: str) -> None:
        """Note a new connection; does not wait."""
        self._writer.post(lambda reply: self._joined(client, reply))

    def listed(self) -> None:
        """Note that what is known of some client has changed; does not wait."""
        self._writer.post(lambda _: self._changed())

    def left(self, client: str) -> None:
        """Note that a client is gone; does not wait."""
        self._writer.post(lambda reply: self._left(client, reply))

    def mirror(self, client: str, update: DataUpdate) -> int:
        """Store readings for people to look at; return how many came, once they are on the disk."""
        self._evaluation_only("readings stay on the client: the server runs in private mode")

        def work(connection: Connection) -> int:
            if update.cycle is not None and update.cycle <= self._world.reset_at:
                raise RefusedError("reset", f"cycle {update.cycle} was before the last reset")
            if update.cycle is not None and update.cycle > self._world.cycle:
                raise RefusedError("unknown cycle", f"cycle {update.cycle} has not been started")
            return mirror.add(connection, client, update, self._settings.keep_readings, self._settings.keep_per_client)

        return self._writer.write(work, lambda: self._mirrored(client, update))

    def generate(self, count: int) -> tuple[int, int]:
        """Start a cycle of so many readings; return its number and how many clients were told."""
        self._evaluation_only("generate_data is off: the server runs in private mode, clients sample on their own clock")
        told: tuple[int, int] = self._writer.submit(lambda _: self._generate(count))
        return told

    def reset(self) -> int:
        """Forget everything and return to the initial model; return how many clients were told."""
        told: int = self._writer.submit(lambda _: self._reset())
        return told

    def rollback(self, number: int) -> int:
        """Make the model of an older round the global one again, as a commit of its own; return that commit's number."""
        restored: synchronous.Restore = self._writer.submit(lambda reply: self._feed(synchronous.Rollback(), reply, number))
        return restored.round

    def _evaluation_only(self, reason: str) -> None:
        if self._settings.mode != "evaluation":
            raise RefusedError("private mode", reason)

    # The machine

    def _start(self) -> synchronous.Start:
        able = self._fleet.able()
        return synchronous.Start(able, len(self._fleet) - len(able))

    def _put_aside(self, delivered: list[tuple[synchronous.Update, Delivery]]) -> None:
        """Bring onto the disk what will count. In a thread: the writer waits for it, and nobody else changes the state."""
        wanted = [(event.client, delivery) for event, delivery in delivered if synchronous.counts(self._state, event)]
        if self._open and wanted:
            self._open.take((client, delivery, self._request.to(client)) for client, delivery in wanted)

    def _feed(self, event: synchronous.Event, reply: Reply, to: int = 0) -> None:
        state, actions = synchronous.step(self._state, event)
        for action in actions:
            self._prepare(action, to)  # what may fail comes before anything has changed
        if self._open and state is not self._state and isinstance(event, synchronous.Failed | synchronous.Left | synchronous.Joined):
            self._runtime.offload(self._open.note, event)
        before, self._state = self._state, state
        try:
            for action in actions:
                self._perform(action, reply)
        finally:  # whatever became of them: the machine has gone on, and everybody sees it
            if state is not before:
                self._changed()

    def _prepare(self, action: synchronous.Action, to: int) -> None:
        match action:
            case synchronous.Open(number, clients):
                self._open, self._request = self._runtime.offload(self._openings.begin, number, clients, self._view.model)
            case synchronous.Fold(_, client):
                assert self._open is not None
                self._open.fold(client)
            case synchronous.Restore(number):
                self._view = replace(self._view, model=self._runtime.offload(self._commits.restore, number, to))

    def _go_on(self, open_round: OpenRound) -> None:
        """Note when the open round ends."""
        now = self._clock.monotonic()
        self._deadline = now + open_round.left
        self._schedule.started(now)

    def _perform(self, action: synchronous.Action, reply: Reply) -> None:
        match action:
            case synchronous.Open(number, clients):
                assert self._open is not None
                self._go_on(self._open)
                log.info("round %d: asking %d clients", number, len(clients))
                for alike, message in self._request:
                    self._out.ask(alike, message)
                reply.answer(action)
            case synchronous.Ask(number, client):
                self._said.about(client, f"round {number}: asking it again", logging.INFO)
                if self._open:
                    self._open.asked_again(client)
                self._out.ask([client], self._request.to(client))
            case synchronous.Drop(number, client, reason):
                self._said.about(client, f"round {number}: goes on without it: {reason}", logging.INFO)
                if self._open:
                    self._open.drop(client, reason)
            case synchronous.Accept() | synchronous.Restore():
                reply.answer(action)
            case synchronous.Refuse(code, reason):
                reply.fail(RefusedError(code, reason))
            case synchronous.Commit():
                self._commit()
            case synchronous.Abandon(_, reason):
                self._abandon(reason)

    def _commit(self) -> None:
        open_round = self._open
        assert open_round is not None
        try:
            model = self._runtime.offload(self._commits.finish, open_round)
        except Exception as error:
            if not isinstance(error, BrambleError):
                log.exception("round %d: the commit failed", open_round.number)
            self._abandon(str(error) if isinstance(error, BrambleError) else f"{reasons.UNCOMMITTED}, its log says why")
            return
        self._view = replace(self._view, model=model)
        log.info("round %d: committed, %s", open_round.number, open_round.summary(model.metrics))
        self._closed(open_round, committed=True)

    def _abandon(self, reason: str) -> None:
        open_round = self._open
        assert open_round is not None
        log.warning("round %d: abandoned: %s", open_round.number, reason)
        self._closed(open_round, committed=False)
        self._endings.put(open_round.number, open_round.abandoned(reason), self._clock.monotonic())

    def _closed(self, open_round: OpenRound, committed: bool) -> None:
        self._open = None
        self._schedule.ended(self._clock.monotonic(), committed)
        self._metrics.round_ended("committed" if committed else "abandoned", open_round.seconds, self._view.model.metrics)
        self._commits.told(open_round)
        if committed:
            self._changed()  # before what takes its time, or the round would be seen as over and open
        self._runtime.offload(self._openings.let_go, open_round, committed)

    def _tidy(self, erase: bool = False) -> None:
        self._openings.tidy(self._open.number if self._open else None, erase)

    def _end_unused(self, reason: str) -> None:
        self._state, actions = synchronous.step(self._state, synchronous.Reset())
        if actions:
            self._abandon(reason)
            self._changed()

    # Everything else that changes something

    def _joined(self, client: str, reply: Reply) -> None:
        if client in self._behind:
            self._behind.discard(client)
            self._out.reset([client])
            with suppress(StoreError):  # said by the store; told once more after a restart, it has nothing more to forget
                self._write(lambda connection: meta.put(connection, "behind", sorted(self._behind)))
        known = self._fleet.get(client)
        # One that came back without a channel that the task takes is not asked again, and no longer waited for.
        self._feed(synchronous.Joined(client) if known and known.misfit is None else synchronous.Left(client), reply)
        self._changed()

    def _left(self, client: str, reply: Reply) -> None:
        self._world.left(client)
        self._feed(synchronous.Left(client), reply)
        self._changed()

    def _generate(self, count: int) -> tuple[int, int]:
        if not self._fleet.connected():
            raise RefusedError("too few clients", "generate_data: no client is connected, so nobody would measure")
        message = self._world.next(count)
        self._write(lambda connection: self._world.save(connection, message))
        clients = self._fleet.connected()
        self._world.begun(message, clients, self._clock.monotonic() + self._settings.deadline)
        log.info("cycle %d: asking %d clients for %d readings each", message.cycle, len(clients), count)
        self._out.generate(message)
        self._changed()
        return message.cycle, len(clients)

    def _mirrored(self, client: str, update: DataUpdate) -> None:
        self._world.arrived(client, update.cycle, len(update.t))
        self._changed()

    def _reset(self) -> int:
        self._end_unused("reset")
        # A client that is away now must hear of it when it is back, or it would go on with what everybody else forgot.
        absent = self._fleet.absent()
        self._behind = set([*absent, *sorted(self._behind.difference(absent))][:REMEMBERED])

        def work(connection: Connection) -> None:
            forget_everything(connection)
            self._world.save_reset(connection)
            meta.put(connection, "behind", sorted(self._behind))

        self._write(work)
        self._runtime.offload(self._tidy)
        self._endings.forget()
        self._world.reset()
        self._commits.forget()
        self._view = replace(self._view, model=self._initial)
        self._metrics.forget()
        self._out.reset()
        self._changed()
        log.info("reset: %d clients were told", len(self._fleet))
        return len(self._fleet)

    def _write(self, work: Callable[[Connection], None]) -> None:
        def transaction() -> None:
            with self._store.writing() as connection:
                work(connection)

        self._runtime.offload(transaction)

    def _changed(self) -> None:
        self._view = self._view.now(self._state.running, self._world)

    # The clock

    def _due(self) -> float:
        now = self._clock.monotonic()
        if self._state.running:
            start: float | None = self._deadline - now
        else:
            start = self._schedule.due(now) if self._fleet.ready >= self._settings.min_clients else None
        return min(when for when in (start, self._world.due(now), self._registry.due(), self._endings.due(now)) if when is not None)

    def _tick(self) -> None:
        now, running = self._clock.monotonic(), self._state.running
        if self._world.due(now) == 0:
            log.warning("cycle %d: no readings came from %s", self._world.cycle, ", ".join(self._world.give_up()))
            self._changed()
        if self._registry.due() == 0 and self._registry.keep(self._write):
            self._runtime.offload(self._tidy)
        if running and self._deadline <= now:
            self._feed(synchronous.Deadline(running.number), Reply(self._runtime.event()))
        elif not running and self._schedule.due(now) == 0 and self._fleet.ready >= self._settings.min_clients:
            self._start_by_itself(now)
        if self._endings.due(now) == 0:
            self._endings.retry(now)

    def _start_by_itself(self, now: float) -> None:
        try:
            self._feed(self._start(), Reply(self._runtime.event()))
        except BrambleError as error:
            self._schedule.ended(now, False)
            if not isinstance(error, StoreError):  # which the store says itself
                self._said.about("the schedule", f"no round can start: {error}", logging.ERROR)
