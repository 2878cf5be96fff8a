"""The one writer of a server's state: passes what happens on to the track whose it is, and does what concerns all of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bramble_protocol import privacy
from bramble_protocol.clock import Clock
from bramble_protocol.graph import Manifest
from bramble_protocol.messages import DataUpdate, Delivery, Masked
from bramble_server.fleet.rate_limited_log import RateLimitedLog
from bramble_server.fleet.registry import Registry
from bramble_server.fleet.registry_store import RegistryStore
from bramble_server.foundation import Foundation
from bramble_server.loop import Loop
from bramble_server.metrics import Metrics
from bramble_server.rounds import machine, recovery
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.cycles import Cycles
from bramble_server.rounds.deployments import Deployments
from bramble_server.rounds.downlink import Downlink
from bramble_server.rounds.endings import Endings
from bramble_server.rounds.evaluations import Evaluations
from bramble_server.rounds.missed_resets import MissedResets
from bramble_server.rounds.shared import Shared
from bramble_server.rounds.shelf import Updates
from bramble_server.rounds.track import Track
from bramble_server.rounds.tracks import Tracks
from bramble_server.rounds.view import View
from bramble_server.rounds.writer import RefusedError, Reply, Writer
from bramble_server.settings import ServerSettings
from bramble_server.store import Store, StoreError, clients, meta, mirror, models, reset_task
from bramble_server.store import reset as forget_everything

log = logging.getLogger(__name__)

STOP_S = 3.0
"""Seconds that ending may take; a round that is still open after that goes on at the next start."""


class Coordinator:
    """Takes what happens, one after the other, to the tracks: one for each task.

    Its methods may be called from anywhere; each waits for the one writer. They raise ``RefusedError`` for a no. Where a task may be
    named and is not, the first is meant.
    """

    def __init__(
        self, settings: ServerSettings, foundations: Sequence[Foundation], store: Store, registry: Registry, downlink: Downlink,
        loop: Loop, metrics: Metrics, archive: Archive, clock: Clock = time,
    ) -> None:  # fmt: skip
        self._settings, self._store, self._registry, self._archive = settings, store, registry, archive
        self._downlink, self._loop, self._clock = downlink, loop, clock
        self._writer = Writer(store, loop, self._due, self._tick, clock)
        self._endings = Endings(self._write, lambda: bool(store.trouble))
        limited_log = RateLimitedLog(clock)
        self._shared = Shared(store, archive, registry, downlink, loop, metrics, clock, limited_log, self._endings, self._changed)
        self._tracks = Tracks(Track(foundation, self._shared) for foundation in foundations)
        self._updates = Updates(self._tracks, self._put)
        self._deployments = Deployments(self._tracks, self._shared)
        self.evaluations = Evaluations(self._tracks, self._shared, self._writer)
        """What clients are asked to try without training."""
        self._recover()

    def _recover(self) -> None:
        with self._store.writing() as connection:
            if self._settings.mode == "private":
                models.forget_clients_weights(connection)
            left = {track: track.recover(connection) for track in self._tracks}
            recovery.hold(connection, [track.task for track in self._tracks], self._settings.mode, self._archive)
            cycles, known, courses = Cycles.load(connection), clients.load(connection), clients.load_courses(connection)
            self._missed_resets = MissedResets(connection)
            self.evaluations.recover(connection)
        self._registry_store = RegistryStore(self._registry, known, courses, self._clock)
        self._cycles = Cycles(cycles, self._settings.data_start.timestamp(), self._tracks.first.graph.manifest.step_s)
        self._view = View(0, {})
        for track, its in left.items():
            track.resume(its)
        self._changed()
        self._tidy(erase=self._settings.mode == "private")

    # What others may ask and do

    @property
    def view(self) -> View:
        """The state that everybody may see."""
        return self._view

    @property
    def foundations(self) -> tuple[Foundation, ...]:
        """What each task that is learnt is built on, the first first."""
        return self._tracks.foundations

    def manifest(self, number: int) -> Manifest:
        """Return the manifest of what clients answer in a round, see :meth:`bramble_server.rounds.tracks.Tracks.manifest`."""
        return self._tracks.manifest(number, self._shared.last)

    def progress(self, number: int) -> dict[str, dict[str, Any]] | None:
        """Return what is known of each client's part in a round, if it is open."""
        track = self._tracks.of(number)
        return track.parts() if track.number == number else None

    def start(self) -> None:
        """Begin to work."""
        self._writer.start()
        for track in self._tracks:
            if track.number is not None:
                self._writer.post(partial(track.feed, machine.Resumed()))
        self._writer.post(lambda _: self._tracks.each(Track.give_way))

    def stop(self) -> None:
        """Stop; open rounds go on at the next start."""

        def last(reply: Reply) -> None:
            self._registry_store.keep(self._write)
            self._tracks.each(Track.leave)

        self._writer.stop(last, STOP_S)

    def drain(self) -> None:
        """Return once everything that was asked for before is done."""
        self._writer.submit(lambda _: None)

    def start_round(self, task: str | None = None) -> machine.Open:
        """Open a round of a task with all connected clients that can train it."""

        def work(reply: Reply) -> None:
            track = self._tracks.named(task)
            track.feed(track.begin(), reply)

        opened: machine.Open = self._writer.submit(work)
        return opened

    def deliver(self, client: str, delivery: Delivery) -> None:
        """Take a client's update; in private mode without the measures that are means over too few samples."""
        if self._settings.mode == "private":
            counts = delivery.counts and privacy.told_counts(delivery.counts)[0]
            delivery = replace(delivery, metrics=privacy.told(delivery.samples, delivery.metrics), counts=counts)
        event = machine.Update(client, delivery.round, delivery.digest if isinstance(delivery, Masked) else "")
        self._writer.take((event, delivery), self._updates, lambda reply: self._taken(event, delivery, reply))

    def say(self, event: machine.Failed | machine.Said) -> None:
        """Take the word of a client that it will not train, and why, or its part in a phase of a secure round."""
        self._writer.submit(lambda reply: self._tracks.of(event.round).feed(event, reply))

    def refused(self, client: str, number: int | None, reason: str) -> None:
        """Count a client as failed whose update was refused for good: the round need not wait for it. Does not wait.

        Parameters
        ----------
        number
            The round that its update names; ``None`` where it names none: then that of the track which asked first, of those that wait.
        """

        def work(reply: Reply) -> None:
            waiting = {asked: track for track in self._tracks if (asked := track.waits_for(client)) is not None}
            meant = min(waiting, default=0) if number is None else number
            if meant in waiting:
                waiting[meant].feed(machine.Failed(client, meant, reason), reply)

        self._writer.post(work)

    def joined(self, client: str) -> None:
        """Note a new connection; does not wait."""
        self._writer.post(lambda reply: self._joined(client, reply))

    def listed(self) -> None:
        """Note that what is known of some client has changed; does not wait."""
        self._writer.post(lambda _: self._changed())

    def drifted(self, client: str, tasks: Sequence[str]) -> None:
        """Note that a client's error of some tasks has risen; does not wait."""
        self._writer.post(lambda _: self._tracks.drifted(client, tasks))

    def left(self, client: str) -> None:
        """Note that a client is gone; does not wait."""
        self._writer.post(lambda reply: self._left(client, reply))

    def mirror(self, client: str, update: DataUpdate) -> int:
        """Store readings for people to look at; return how many came, once they are on the disk."""
        self._evaluation_only("readings stay on the client: the server runs in private mode")

        def work(connection: Connection) -> int:
            if update.cycle is not None and update.cycle <= self._cycles.reset_at:
                raise RefusedError("reset", f"cycle {update.cycle} was before the last reset")
            if update.cycle is not None and update.cycle > self._cycles.cycle:
                raise RefusedError("unknown cycle", f"cycle {update.cycle} has not been started")
            return mirror.add(connection, client, update, self._settings.keep_readings, self._settings.keep_per_client, self._clock)

        return self._writer.write(work, lambda: self._mirrored(client, update))

    def generate(self, count: int) -> tuple[int, int]:
        """Start a cycle of so many readings; return its number and how many clients were told."""
        self._evaluation_only("generate_data is off: the server runs in private mode, clients sample on their own clock")
        told: tuple[int, int] = self._writer.submit(lambda _: self._generate(count))
        return told

    def reset(self, task: str | None = None) -> int:
        """Forget everything, or rounds and models of one task, and begin anew; return how many clients were told."""
        told: int = self._writer.submit(lambda _: self._reset() if task is None else self._reset_one(self._tracks.named(task)))
        return told

    def rollback(self, number: int, task: str | None = None) -> int:
        """Make the model of an older round the global one again, as a commit of its own; return that commit's number.

        A round of the task that is open ends unused.
        """
        track = self._tracks.named(task)
        restored: machine.Restore = self._writer.submit(lambda reply: track.roll_back(number, reply))
        return restored.round

    def pin(self, number: int | None, task: str | None = None) -> int | None:
        """Have the model of a round be the champion of a task whatever comes, or with None none; return which one is or was pinned."""
        track = self._tracks.named(task)
        pinned: int | None = self._writer.submit(lambda _: track.pin(number))
        return pinned

    def release(self, client: str, task: str | None = None) -> str:
        """Have a client that is in quarantine be asked for rounds of a task again; return which task."""
        track = self._tracks.named(task)

        def work(_: Reply) -> None:
            track.let_back(client, self._write)
            self._changed()

        self._writer.submit(work)
        return track.task

    def stop_rounds(self, task: str | None = None) -> int | None:
        """End the open round of a task with what has come, and have none follow; return its number, if there was one."""
        track = self._tracks.named(task)
        if track.settings.discipline == "synchronous":
            raise RefusedError("synchronous", f"rounds of {track.task} are synchronous: each ends by itself, by its deadline at the latest")
        ended: int | None = self._writer.submit(lambda _: self._tracks.named(task).stop())
        return ended

    def deploy(self, foundation: Foundation, keep: Callable[[], None]) -> int:
        """Learn another task from here on; return the round of its model, 0 unless it was learnt here before.

        Parameters
        ----------
        keep
            Puts the task where a next process finds it. If it fails nothing is learnt.
        """
        number: int = self._writer.submit(lambda _: self._deployments.deploy(foundation, keep))
        return number

    def retire(self, task: str, forget: Callable[[], None]) -> None:
        """Learn a deployed task no longer; its history stays, and goes on if it is deployed again. ``forget`` undoes what kept it."""

        def work(_: Reply) -> None:
            self._deployments.retire(task, forget)
            self.evaluations.end(task, "its task was retired")

        self._writer.submit(work)

    def _evaluation_only(self, reason: str) -> None:
        if self._settings.mode != "evaluation":
            raise RefusedError("private mode", reason)

    # What concerns all

    def _put(self, delivered: list[tuple[machine.Update, Delivery]]) -> bool:
        theirs: dict[Track, list[tuple[machine.Update, Delivery]]] = {}
        for event, delivery in delivered:
            theirs.setdefault(self._tracks.of(event.round), []).append((event, delivery))
        # rounds of several tasks that end together would want the same number for the next
        return all([track.put_aside(its, alone=len(theirs) == 1) for track, its in theirs.items()])

    def _taken(self, event: machine.Update, delivery: Delivery, reply: Reply) -> None:
        track = self._tracks.of(event.round)
        if track.lacks(event):
            track.put_aside_anew(event, delivery)
        track.feed(event, reply)

    def _joined(self, client: str, reply: Reply) -> None:
        if self._missed_resets.tell(client, self._downlink):
            with suppress(StoreError):  # said by the store; told once more after a restart, it has nothing more to forget
                self._write(self._missed_resets.save)
        known = self._registry.get(client)

        def tell(track: Track) -> None:
            # One that came back without what the task needs is not asked again, and no longer waited for.
            able = known is not None and known.misfits[track.task] is None
            track.feed(machine.Joined(client) if able else machine.Left(client), reply)

        self._tracks.each(tell)
        self.evaluations.joined(client)
        self._changed()

    def _left(self, client: str, reply: Reply) -> None:
        self._cycles.left(client)
        self._tracks.each(lambda track: track.feed(machine.Left(client), reply))
        self._changed()

    def _generate(self, count: int) -> tuple[int, int]:
        if not self._registry.connected():
            raise RefusedError("too few clients", "generate_data: no client is connected, so nobody would measure")
        message = self._cycles.next(count)
        self._write(lambda connection: self._cycles.save(connection, message))
        told = self._registry.connected()
        self._cycles.begun(message, told, self._clock.monotonic() + self._settings.deadline)
        log.info("cycle %d: asking %d clients for %d readings each", message.cycle, len(told), count)
        self._downlink.generate(message)
        self._changed()
        return message.cycle, len(told)

    def _mirrored(self, client: str, update: DataUpdate) -> None:
        self._cycles.arrived(client, update.cycle, len(update.t))
        self._changed()

    def _reset(self) -> int:
        for track in self._tracks:
            track.end_unused("reset")
        # A client that is away now must hear of it when it is back, or it would go on with what everybody else forgot.
        self._missed_resets.everything(self._registry.absent())

        def work(connection: Connection) -> None:
            forget_everything(connection)
            self._cycles.save_reset(connection)
            self._missed_resets.save(connection)
            for track in self._tracks:  # of those that are not served now nothing is left to be kept apart from
                meta.adopt(connection, track.task, track.graph)

        self._write(work)
        self._archive.release()
        self._loop.offload(self._tidy)
        self._endings.forget()
        self.evaluations.forget()
        self._cycles.reset()
        for track in self._tracks:
            track.forget()
        self._changed()  # it has happened, whoever hears of it
        self._downlink.reset()
        log.info("reset: %d clients were told", len(self._registry))
        return len(self._registry)

    def _reset_one(self, track: Track) -> int:
        track.end_unused("reset")
        self._missed_resets.of(track.task, self._registry.absent())

        def work(connection: Connection) -> None:
            reset_task(connection, track.task)
            self._missed_resets.save(connection)

        self._write(work)
        self._loop.offload(self._tidy)
        self._endings.forget(track.task)
        self.evaluations.forget(track.task)
        track.forget()
        self._changed()
        told = self._downlink.reset(task=track.task)
        log.info("reset of task %s: %d clients were told", track.task, told)
        return told

    def _tidy(self, erase: bool = False) -> None:
        recovery.tidy(self._store, self._archive, self._settings.mode, erase)

    def _write(self, work: Callable[[Connection], None]) -> None:
        def transaction() -> None:
            with self._store.writing() as connection:
                work(connection)

        self._loop.offload(transaction)

    def _changed(self) -> None:
        self._view = View(self._view.revision + 1, self._tracks.views, self._cycles.cycle, self._cycles.owing)

    # The clock

    def _due(self) -> float:
        now = self._clock.monotonic()
        tracks = (track.due(now) for track in self._tracks)
        others = (self._cycles.due(now), self._registry_store.due(), self._endings.due(now), self.evaluations.due())
        return min(when for when in (*tracks, *others) if when is not None)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        if self._cycles.due(now) == 0:
            log.warning("cycle %d: no readings came from %s", self._cycles.cycle, ", ".join(self._cycles.give_up()))
            self._changed()
        if self._registry_store.due() == 0 and self._registry_store.keep(self._write):
            self._loop.offload(self._tidy)
        if self._endings.due(now) == 0:
            self._endings.retry(now)
        self.evaluations.tick()
        self._tracks.each(lambda track: track.tick(now))
