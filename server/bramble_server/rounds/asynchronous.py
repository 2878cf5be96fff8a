"""Rounds that wait for nobody in particular: buffered asynchronous aggregation (FedBuff, Nguyen et al. 2022, algorithm 1).

A round is a version of the model: it opens with the model that is, and ends once ``buffer`` updates have come, whichever model each of
them was trained from. Who has not answered by then trains on, and counts in a later round for as long as no more than ``max_staleness``
versions came meanwhile. See :class:`bramble_server.rounds.machine.Machine` for what it promises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from bramble_protocol import reasons
from bramble_server.rounds.machine import (
    REMEMBERED,
    Abandon,
    Accept,
    Action,
    Ask,
    Commit,
    Deadline,
    Drop,
    Earlier,
    Event,
    Failed,
    Fold,
    Joined,
    Left,
    Noted,
    Numbered,
    Open,
    PhaseOver,
    Refuse,
    Reset,
    Restore,
    Resumed,
    Rollback,
    Rules,
    Running,
    Said,
    Start,
    Update,
    no_phases,
    too_few,
)  # fmt: skip
from bramble_server.rounds.members import Members


@dataclass(frozen=True)
class State:
    """All that the machine knows between two events."""

    rules: Rules = field(default_factory=Rules)
    last: int = 0
    running: Running | None = None
    answered: Mapping[int, Set[str]] = field(default_factory=dict)
    """By the round that a client was asked in, not by the one that its update counted in. Every closed round has its place."""
    under_way: Mapping[str, int] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)
    """In which round each client was asked last: where not all are asked, those are next who waited longest."""
    back: Set[str] = frozenset()
    """Who trains and came back while no round was open: the next one asks it again, for what it was asked may not have come with it."""


Outcome = tuple[State, tuple[Action, ...]]


@dataclass(frozen=True)
class Asynchronous:
    """The machine, as it is set."""

    buffer: int = 10
    """Updates that make a version."""
    max_staleness: int = 20
    """Versions that may come while a client trains; what it then delivers does not count, and it is asked anew."""
    concurrency: int | None = None
    """Clients that train at once; without it all."""

    @property
    def remembered(self) -> int:
        """Closed rounds whose answers are remembered: from when the oldest was asked that may still count."""
        return REMEMBERED + self.max_staleness

    def begin(
        self, rules: Rules, last: int = 0, answered: Mapping[int, Set[str]] | None = None, under_way: Mapping[str, int] | None = None
    ) -> State:
        """Return the state without an open round."""
        return State(rules, last, answered=answered or {}, under_way=under_way or {})

    def replayed(self, state: State, number: int, clients: Mapping[str, int], events: Iterable[Noted], enough: int = 0) -> State:
        """Return the state with an open round as a former process had it."""
        running = Running(number, frozenset(clients), Members(clients))
        state = replace(state, running=running, under_way=dict(clients), asked=dict(clients))
        for event in events:
            state = _after(state, running, event)
            assert state.running is not None
            running = state.running
        return state

    def step(self, state: State, event: Event) -> Outcome:
        """Apply one event; return the next state and the actions that it calls for, in order."""
        match event:
            case Start():
                return self._start(state, event)
            case Update():
                return self._update(state, event)
            case Failed():
                return self._failed(state, event)
            case Left():
                return self._left(state, event)
            case Joined():
                return _joined(state, event)
            case Deadline(number):
                return self._deadline(state, number)
            case Resumed():
                return self._settle(state) if state.running else (state, ())
            case Rollback():
                return _rollback(state)
            case Said():
                return state, (no_phases(event),)
            case PhaseOver():
                return state, ()
            case Numbered(last):
                return (replace(state, last=last) if last > state.last else state), ()
            case Reset():
                state = replace(state, under_way={})
                return self._close(state, "reset") if state.running else (state, ())

    def counts(self, state: State, event: Update) -> bool:
        """Return whether an update will be folded, so that it has to be put aside before."""
        running = state.running
        return running is not None and event.client in running.selected and state.under_way.get(event.client) == event.round

    def _start(self, state: State, event: Start) -> Outcome:
        if state.running:
            return state, (Refuse("busy", f"round {state.running.number} is running"),)
        clients = frozenset(event.clients)
        needed = max(1, state.rules.min_clients)
        if len(clients) < needed:
            return state, (too_few(event, needed),)
        number = state.last + 1
        behind = {client: Earlier(asked, _since(state, asked)) for client, asked in state.under_way.items()}
        behind = {client: earlier for client, earlier in behind.items() if earlier.staleness <= self.max_staleness}
        training = clients & behind.keys()
        asked = tuple(sorted(self._next(state, clients - training, len(training))))
        under_way = {**{client: earlier.round for client, earlier in behind.items()}, **dict.fromkeys(asked, number)}
        running = Running(number, frozenset(under_way), Members((*asked, *training)))
        turns = {client: state.asked[client] for client in clients if client in state.asked} | dict.fromkeys(asked, number)
        again = (Ask(under_way[client], client) for client in sorted(state.back & training))
        state = replace(state, last=number, running=running, under_way=under_way, asked=turns, back=frozenset())
        return state, (Open(number, asked, behind), *again)

    def _next(self, state: State, idle: Set[str], training: int) -> list[str]:
        """Return who is asked: those first that were not for longest."""
        if self.concurrency is None:
            return list(idle)
        return sorted(idle, key=lambda client: (state.asked.get(client, 0), client))[: max(0, self.concurrency - training)]

    def _update(self, state: State, event: Update) -> Outcome:
        running = state.running
        if self.counts(state, event):
            assert running is not None
            state = _after(state, running, event)
            return self._settle(state, Fold(running.number, event.client), Accept())
        if _counted(state, event.client, event.round):
            return state, (Accept(),)
        return self._refuse(state, event.client, event.round)

    def _refuse(self, state: State, client: str, number: int) -> Outcome:
        running = state.running
        if running and number == running.number:
            return state, (Refuse("not asked", f"not asked to take part in round {number}"),)
        if not 0 < number <= state.last:
            return state, (Refuse("unknown round", f"unknown round {number}"),)
        behind = _since(state, number)
        late = f": {behind} versions came since, and at most {self.max_staleness} may" if behind > self.max_staleness else ""
        return (state if running else _idle(state, client, number)), (Refuse("round over", f"round over{late}"),)

    def _failed(self, state: State, event: Failed) -> Outcome:
        running, client = state.running, event.client
        if running and client in running.selected and state.under_way.get(client) == event.round:
            if client in running.failed:
                return state, (Accept(),)
            return self._settle(_after(state, running, event), Drop(running.number, client, event.reason), Accept())
        if _counted(state, client, event.round) or (0 < event.round <= state.last and not (running and event.round == running.number)):
            return (state if running else _idle(state, client, event.round)), (Accept(),)
        return self._refuse(state, client, event.round)

    def _left(self, state: State, event: Left) -> Outcome:
        running = state.running
        if running is None or event.client not in running.pending:
            return state, ()
        return self._settle(_after(state, running, event), Drop(running.number, event.client, reasons.GONE))

    def _deadline(self, state: State, number: int) -> Outcome:
        running = state.running
        if running is None or running.number != number:
            return state, ()
        late = [Drop(number, client, reasons.LATE) for client in sorted(running.pending)]
        # Each of them was asked at least as long ago as a client may train.
        return self._settle(replace(state, running=replace(running, pending=Members()), under_way={}), *late)

    def _settle(self, state: State, *actions: Action) -> Outcome:
        running = state.running
        assert running is not None
        if running.pending and len(running.updated) < self.buffer:
            return state, actions
        state, ending = self._close(state)
        return state, (*actions, *ending)

    def _close(self, state: State, reason: str = "") -> Outcome:
        running = state.running
        assert running is not None
        arrived, needed = len(running.updated), max(1, state.rules.min_updates)
        if not reason and arrived < needed:
            reason = f"{arrived} of {len(running.selected)} clients delivered, a round needs {needed}"
        known = {running.number: frozenset[str](), **state.answered}
        answered = {number: known[number] for number in sorted(known)[-self.remembered :]}
        under_way = {client: asked for client, asked in state.under_way.items() if client not in running.failed}
        ending = Abandon(running.number, reason) if reason else Commit(running.number)
        return replace(state, running=None, answered=answered, under_way=under_way), (ending,)


def _since(state: State, number: int) -> int:
    """Return how many rounds have ended since one was opened, that one included."""
    return sum(closed >= number for closed in state.answered if state.running is None or closed != state.running.number)


def _idle(state: State, client: str, number: int) -> State:
    """Return the state with a client that no longer trains for a round: the next one asks it."""
    if state.under_way.get(client) != number:
        return state
    return replace(state, under_way={other: asked for other, asked in state.under_way.items() if other != client})


def _counted(state: State, client: str, number: int) -> bool:
    """Return whether an update was taken before: as the answer to that round, in whichever it counted."""
    return client in state.answered.get(number, ())


def _after(state: State, running: Running, event: Noted) -> State:
    """Move a client into the set where this event puts it."""
    client, pending, failed = event.client, running.pending.excluding(event.client), running.failed
    match event:
        case Update():
            # One that failed or dropped and delivers after all is welcome while it may still count: its work is as good as any.
            running = replace(running, pending=pending, failed=failed.excluding(client), updated=running.updated.including(client))
            answered = {**state.answered, event.round: frozenset((*state.answered.get(event.round, ()), client))}
            return _idle(replace(state, running=running, answered=answered), client, event.round)
        case Failed():
            running = replace(running, pending=pending, failed=failed.including(client))
        case Left():
            running = replace(running, pending=pending)
        case Joined():
            # A pending client is asked again too: what was sent over its former connection may never have arrived.
            running = replace(running, pending=running.pending.including(client))
    return replace(state, running=running)


def _joined(state: State, event: Joined) -> Outcome:
    running, client = state.running, event.client
    if running is None:
        return (replace(state, back=state.back | {client}) if client in state.under_way else state), ()
    if client not in running.selected or client not in state.under_way or client in running.failed:
        return state, ()
    # For what it was asked before: it may have trained for that all the time, or be done.
    return _after(state, running, event), (Ask(state.under_way[client], client),)


def _rollback(state: State) -> Outcome:
    if state.running:
        number = state.running.number
        return state, (Refuse("busy", f"round {number} is running, and its clients train from the model that is: stop it first"),)
    return replace(state, last=state.last + 1, under_way={}), (Restore(state.last + 1),)
