"""One task that is being learnt: its machine's state, the open round, the schedule, the model. All of it is the coordinator's alone."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from bramble_protocol import reasons
from bramble_protocol.errors import BrambleError
from bramble_protocol.messages import Delivery
from bramble_server.foundation import Foundation
from bramble_server.rounds import machine, recovery
from bramble_server.rounds.aftermath import Aftermath
from bramble_server.rounds.ahead import Ahead, Next
from bramble_server.rounds.asking import Request
from bramble_server.rounds.cohorts import RECENT, Cohort, Cohorts
from bramble_server.rounds.commits import Commits
from bramble_server.rounds.downlink import dismiss
from bramble_server.rounds.opening import Openings
from bramble_server.rounds.phases import Phases
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import UnderWay
from bramble_server.rounds.schedule import Schedule
from bramble_server.rounds.shared import Shared
from bramble_server.rounds.view import Model, Progress
from bramble_server.rounds.writer import RefusedError, Reply
from bramble_server.store import StoreError, rounds

log = logging.getLogger(__name__)


class Track:
    """Takes what happens to one task through its machine, and does what that says.

    Parameters
    ----------
    foundation
        The task's graph and settings.
    shared
        What it has in common with the others.
    """

    def __init__(self, foundation: Foundation, shared: Shared) -> None:
        self.foundation, self._shared = foundation, shared
        self.task, self.graph, self.settings = foundation.task, foundation.graph, foundation.settings
        self._initial = self.model = Model(0, self.graph.initial, {})
        self._lasting = self.settings.discipline == "asynchronous"
        self.schedule = Schedule(self.settings.rounds, self.settings.every, self._lasting)
        """When its rounds start by themselves."""
        self._commits = Commits(self.settings, self.task, self.graph.manifest, shared.store, shared.registry, shared.metrics, shared.clock)
        self.let_back = self._commits.let_back  # a client that is in quarantine
        self._openings = Openings(foundation, shared.store, shared.archive, self._commits, shared.clock)
        seed, coins = self.settings.training(self.graph.manifest.config).seed, secrets.randbits(128)
        self._cohorts, self._cohort = Cohorts(self.settings, seed, coins), Cohort(())
        self._aftermath = Aftermath(self.task, shared, self._commits, self._cohorts, self._openings)
        self._machine, self._phases = foundation.machine, Phases(shared)
        self._ahead = Ahead(self._machine, self._commits, self._openings)
        self._rules = machine.Rules(self.settings.min_clients, self.settings.min_updates)
        self._state: machine.State = self._machine.begin(self._rules)
        self._open: OpenRound | None = None
        self._unsure: OpenRound | None = None
        self._requests: dict[int, Request] = {}
        """What clients are asked, by round: of the open one, and of earlier ones that somebody still trains for."""
        self._sent: dict[str, float | None] = {}  # when those were asked that train for earlier rounds
        self._deadline = 0.0
        self._why: str | None = None  # why an older model comes back, where nobody asked for it

    def recover(self, connection: Connection) -> recovery.Left:
        """Read what a former process left of this task, and close what cannot go on."""
        left = recovery.recover(
            connection, self.task, self.settings, self.graph, self._shared.archive, self._shared.clock, self._machine.remembered
        )
        self._commits.recall(connection)
        if self._cohorts.remembers:
            self._cohorts.recall(rounds.history(connection, self.task, limit=RECENT, clients=True))
        self._shared.last = max(self._shared.last, left.last)
        self.model = left.model or self._initial
        self._shared.metrics.measured(self.task, self.model.metrics)
        for item in rounds.history(connection, self.task, limit=1):
            self._shared.metrics.last_round(self.task, item["state"], item["ended"] or item["started"])
        self._state = self._machine.begin(self._rules, left.last, left.answered)
        return left

    def resume(self, left: recovery.Left) -> None:
        """Go on with the round that a former process left open."""
        if left.open_round and (resumed := self._openings.resume(*left.open_round, self.model)):
            self._open, self._requests, noted = resumed
            self._state = self._machine.replayed(self._state, self._open.number, self._open.clients, noted, self._open.enough)
            self._go_on(self._open)
        elif left.going is not None and self._lasting:
            self._requests = self._openings.earlier(left.going)
            under_way = {client: one.round for client, one in left.going.items()}
            self._sent = {client: one.sent for client, one in left.going.items()}
            self._state = self._machine.begin(self._rules, left.last, left.answered, under_way)
            self.schedule.started(self._shared.clock.monotonic())

    # What others may know

    @property
    def view(self) -> Progress:
        """The task's model and open round, as others may see them."""
        return Progress(self.model, self._state.running, self._commits.champions.standing, self._commits.ledger.spent)

    @property
    def number(self) -> int | None:
        """The open round."""
        return self._open.number if self._open else None

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each client's part in the open round."""
        return self._open.parts() if self._open else {}

    def waits_for(self, client: str) -> int | None:
        """Return the round that a client was asked in, if the open one waits for it."""
        running = self._state.running
        return self._state.under_way.get(client, running.number) if running and client in running.pending else None

    def knows(self, number: int) -> bool:
        """Whether a round is this task's: the open one, or one of the last."""
        running = self._state.running
        return (running is not None and running.number == number) or number in self._state.answered

    # What happens

    def begin(self) -> machine.Start:
        """Return the event that asks for a round with clients that can train the task: all of them, or a cohort."""
        registry = self._shared.registry
        able, unwell = registry.able(self.task), registry.unwell(self.task)
        chosen = self._cohort = self._cohorts.choose(max(self._state.last, self._shared.last) + 1, able)
        return machine.Start(chosen.clients, len(registry) - len(able) - unwell, unwell, chosen.spare, chosen.enough)

    @property
    def owing(self) -> int:
        """How many a small open round waits for: they answer at about the same time."""
        running = self._state.running
        return len(running.pending) if running and self._open and self._open.small else 0

    def foresee(self, count: int) -> None:
        """Choose whom the next round would ask if so many updates were the last of this one, and nothing else made a difference to that."""
        self._ahead.following = None
        if not 0 < self.owing <= count or self._lasting or self._cohorts.remembers or self._shared.last > self._state.last:
            return
        if self.schedule.follows(self._shared.clock.monotonic()):
            start = self.begin()
            self._ahead.following = Next(start, self._cohort, list(self._shared.registry.by_features(start.clients)))

    def put_aside(self, delivered: Sequence[tuple[machine.Update, Delivery]], alone: bool) -> bool:
        """Write down what will count; return whether it is on the disk. In a thread: the writer waits, and nobody else changes the state.

        A small round's last get no sync but that of its commit, which is made at once where no other track has any now (``alone``).
        """
        wanted = [(event.client, delivery) for event, delivery in delivered if self._machine.counts(self._state, event)]
        running = self._state.running
        if self._open is None or running is None or not wanted:
            return True
        self._open.take((client, delivery, self._requests[delivery.round].to(client)) for client, delivery in wanted)
        if self._open.small and self._open.has_taken(running.pending):
            if alone and not self._lasting and self._ahead.run(self._state, [event for event, _ in delivered], self._open, self.model):
                return True
            self._unsure = self._open
            return False
        self._open.sync()
        return True

    def lacks(self, event: machine.Update) -> bool:
        """Whether an update that will count is not put aside: the round in which it was ended with another that came at the same time."""
        return self._open is not None and not self._open.holds(event.client) and self._machine.counts(self._state, event)

    def put_aside_anew(self, event: machine.Update, delivery: Delivery) -> None:
        """Write down an update that :meth:`lacks` names, and have it on the disk."""
        assert self._open is not None
        self._shared.loop.offload(self._open.take, [(event.client, delivery, self._requests[delivery.round].to(event.client))])
        self._shared.loop.offload(self._open.sync)

    def secure(self) -> None:
        """Bring onto the disk what was put aside and came into no commit."""
        unsure, self._unsure = self._unsure, None
        if unsure is not None and unsure is self._open:
            self._shared.loop.offload(unsure.secure)

    def feed(self, event: machine.Event, reply: Reply, to: int = 0) -> None:
        """Give the machine an event, and carry out the actions that it returns."""
        if self._state.last != self._shared.last:
            self._state, _ = self._machine.step(self._state, machine.Numbered(self._shared.last))
        state, actions = self._machine.step(self._state, event)
        for action in actions:
            self._prepare(action, to)  # what may fail comes before anything has changed
        if self._open and state is not self._state and isinstance(event, machine.Failed | machine.Left | machine.Joined):
            self._shared.loop.offload(self._open.note, event)
        before, self._state = self._state, state
        self._shared.last = state.last
        try:
            for action in actions:
                self._perform(action, reply)
        finally:  # whatever became of them: the machine has gone on, and everybody sees it
            if state is not before:
                self._shared.changed()
        if before.running and not self._state.running:
            self.give_way()
            if start := self._ahead.start:
                self._shared.loop.rest()  # what was taken is acknowledged before anything else is asked
                self._start(start)
            elif self.schedule.going:
                self._aftermath.catch_up()
                self.tick(self._shared.clock.monotonic())  # at once, for what came with the last update is for the next round
        self._aftermath.catch_up()

    def give_way(self) -> None:
        """Go back to the champion, if it is time to."""
        champions = self._commits.champions
        if champions.due is None or self._state.running:
            return
        self._why = champions.why
        try:
            self.feed(machine.Rollback(), Reply(self._shared.loop.event()), champions.due)
            self._shared.metrics.gave_way(self.task)
        except BrambleError as error:  # tried again when the next round is over, or at the next start
            log.error("task %s: the model of round %d could not be brought back: %s", self.task, champions.due, error)
        finally:
            self._why = None

    def roll_back(self, to: int, reply: Reply) -> None:
        """Make an older model the global one; an open round ends unused, for its clients train from the model that goes."""
        self._shared.loop.offload(self._commits.known, to)
        self.end_unused(f"rolled back to the model of round {to}")
        self.feed(machine.Rollback(), reply, to)

    def pin(self, number: int | None) -> int | None:
        """Have a model be the champion whatever comes, or none; return which."""
        pinned = self._shared.loop.offload(self._commits.pin, number)
        self._shared.changed()
        return pinned

    def _prepare(self, action: machine.Action, to: int) -> None:
        match action:
            case machine.Open(number, clients, under_way):
                ways = list(self._shared.registry.by_features(clients))
                theirs = {client: UnderWay(*earlier, self._sent.get(client)) for client, earlier in under_way.items()}
                cohort = replace(self._cohort, clients=clients)  # of which a discipline may ask a part, for others are at work already
                begun = self._ahead.opened(number) or self._shared.loop.offload(
                    self._openings.begin, number, cohort, self.model, ways, theirs
                )
                self._open, self._requests[number] = begun.open_round, begun.request
            case machine.Fold(_, client):
                assert self._open is not None
                self._open.fold(client)
            case machine.Keep(said):
                self._phases.keep(said)
            case machine.Restore(number):
                self.model = self._shared.loop.offload(self._commits.restore, number, to, self._why)
                self._requests.clear()

    def _go_on(self, open_round: OpenRound) -> None:
        """Note when the open round ends."""
        self._deadline = (now := self._shared.clock.monotonic()) + open_round.left
        self.schedule.started(now)

    def _perform(self, action: machine.Action, reply: Reply) -> None:
        match action:
            case machine.Open(number, clients):
                assert self._open is not None
                needed = {number, *self._state.under_way.values()}  # of those that were too old to count somebody lets go now
                self._requests = {asked: request for asked, request in self._requests.items() if asked in needed}
                self._go_on(self._open)
                self._phases.opened(self._open)
                self._aftermath.put(log.info, "round %d: asking %d clients", number, len(clients))
                for alike, message in self._requests[number]:
                    self._shared.downlink.ask(alike, message)
                if not self._open.recorded:
                    self._secure(number)
                reply.answer(action)
            case machine.Tell():
                self._phases.tell(action)
            case machine.Ask(number, client):
                self._shared.limited_log.about(client, f"round {number}: asking it again", logging.INFO)
                if self._open:
                    self._open.asked_again(client)
                self._shared.downlink.ask([client], self._requests[number].to(client))
            case machine.Drop(number, client, reason):
                self._shared.limited_log.about(client, f"round {number}: goes on without it: {reason}", logging.INFO)
                if self._open:
                    self._open.drop(client, reason)
            case machine.Dismiss(number, clients):
                dismiss(self._shared.downlink, clients, number)
            case machine.Accept() | machine.Restore():
                reply.answer(action)
            case machine.Refuse(code, reason):
                reply.fail(RefusedError(code, reason))
            case machine.Commit():
                self._commit()
            case machine.Abandon(_, reason):
                self._abandon(reason)

    def _secure(self, number: int) -> None:
        """Bring onto the disk that a round is open, before anything of it is taken, and while its clients train."""
        self._shared.changed()
        try:
            self._shared.loop.offload(self._openings.secure, number)
        except StoreError as error:
            self.end_unused(f"it is not on record: {error}")
            raise

    def _commit(self) -> None:
        open_round = self._open
        assert open_round is not None
        going = self._state.under_way if self.schedule.going and not self.schedule.last else None
        try:
            self.model = self._ahead.model(open_round) or self._shared.loop.offload(self._commits.finish, open_round, self.model, going)
        except Exception as error:
            if not (known := isinstance(error, BrambleError)):
                log.exception("round %d: the commit failed", open_round.number)
            self._abandon(str(error) if known else f"{reasons.UNCOMMITTED}, its log says why", judged=known)
            return
        self._aftermath.put(log.info, "round %d: committed, %s", open_round.number, open_round.summary(self.model.metrics))
        self._closed(open_round, committed=True)

    def _abandon(self, reason: str, judged: bool = False) -> None:
        open_round = self._open
        assert open_round is not None
        change = self._commits.found(open_round, self.model) if judged else None
        log.warning("round %d: abandoned: %s", open_round.number, reason)
        self._closed(open_round, committed=False)
        self._aftermath.catch_up()
        write = open_round.abandoned(reason, change.write) if change else open_round.abandoned(reason)
        self._shared.endings.put(self.task, open_round.number, write, self._shared.clock.monotonic())
        if change:
            self._commits.champions.hold(change)

    def _closed(self, open_round: OpenRound, committed: bool) -> None:
        self._open = None
        self._keep_requests(open_round)
        self.schedule.ended(self._shared.clock.monotonic(), committed)
        self._aftermath.ended(open_round, committed, self.model.metrics)

    def _keep_requests(self, open_round: OpenRound) -> None:
        """Let go of the models that nobody trains from any more, and of the last one as it went out."""
        needed, parts = self._state.under_way, open_round.parts()
        self._requests = {number: request for number, request in self._requests.items() if number in set(needed.values())}
        for request in self._requests.values():
            request.let_go()
        self._sent = {client: parts[client]["sent"] for client in needed if client in parts}

    # The clock, and ends

    def due(self, now: float) -> float | None:
        """Return seconds until its deadline or the next round by the schedule; None for neither."""
        if self._state.running:
            return min(self._deadline, self._phases.until) - now
        return self.schedule.due(now) if self._shared.registry.ready(self.task) >= self.settings.min_clients else None

    def tick(self, now: float) -> None:
        """End a round whose deadline has passed, or start one that is due."""
        due, running = self.due(now), self._state.running
        if due is not None and due <= 0:
            if running:
                self.feed(self._phases.over(now) or machine.Deadline(running.number), Reply(self._shared.loop.event()))
            else:
                self._start()

    def _start(self, start: machine.Start | None = None) -> None:
        try:
            self.feed(start or self.begin(), Reply(self._shared.loop.event()))
        except BrambleError as error:
            self.schedule.ended(self._shared.clock.monotonic(), False)
            if not isinstance(error, StoreError):  # which the store says itself
                self._shared.limited_log.about("the schedule", f"no round can start: {error}", logging.ERROR)

    def end_unused(self, reason: str) -> None:
        """Abandon the open round, if there is one."""
        self._state, actions = self._machine.step(self._state, machine.Reset())
        self._requests = {number: request for number, request in self._requests.items() if number == self.number}
        if actions:
            self._abandon(reason)
            self._shared.changed()

    def stop(self) -> int | None:
        """End the open round with what has come, and have none follow; return its number."""
        self.schedule.stop()
        if (number := self.number) is not None:
            self.feed(machine.Deadline(number), Reply(self._shared.loop.event()))
        return number

    def forget(self) -> None:
        """Return to the initial model, after a reset."""
        if self._lasting and self.settings.rounds is None:
            self.schedule.stop()
        self._commits.forget()
        self._cohorts.forget()
        self.model = self._initial
        self._shared.metrics.forget(self.task)

    def leave(self) -> None:
        """Let go of the open round for a next process to go on with."""
        if self._open:
            self._shared.loop.offload(self._open.leave)
