"""The round's state machine, pure: ``step(state, event) -> (state, actions)``. No socket, clock, thread or database.

The coordinator turns what happens into events and performs the actions in the order given. An event that somebody waits
on (``Start``, ``Update``, ``Failed``, ``Rollback``) yields exactly one reply: ``Open``, ``Accept``, ``Restore`` or ``Refuse``.
If performing ``Fold`` fails, the coordinator keeps the old state and refuses: the client is then still pending.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from bramble_protocol import reasons
from bramble_server.rounds.members import Members

REMEMBERED = 16
"""Closed rounds whose answers are remembered, so that a repeat whose first acknowledgement got lost is answered alike."""


@dataclass(frozen=True)
class Rules:
    """What a round needs: ``min_clients`` to open, ``min_updates`` to commit."""

    min_clients: int = 2
    min_updates: int = 1


@dataclass(frozen=True)
class Running:
    """The open round. A selected client that is in none of the three sets has dropped."""

    number: int
    selected: frozenset[str]
    pending: Members
    updated: Members = field(default_factory=Members)
    failed: Members = field(default_factory=Members)


@dataclass(frozen=True)
class State:
    """All that the machine knows between two events.

    ``last`` is the highest round number ever opened. It survives resets and restarts: were numbers used twice, an update
    still on its way from the first round 7 would be counted in the second.
    """

    rules: Rules = Rules()
    last: int = 0
    running: Running | None = None
    answered: Mapping[int, Set[str]] = field(default_factory=dict)
    """Round number -> clients whose update was accepted, for the last ``REMEMBERED`` closed rounds."""


@dataclass(frozen=True)
class Start:
    """Somebody asks for a round with the clients that are connected and can train the task."""

    clients: Collection[str]
    others: int = 0
    """How many are connected beside them, and cannot."""


@dataclass(frozen=True)
class Update:
    """A well-formed update arrived; its weights wait with the coordinator."""

    client: str
    round: int


@dataclass(frozen=True)
class Failed:
    """A client says honestly that it cannot deliver this round."""

    client: str
    round: int
    reason: str


@dataclass(frozen=True)
class Left:
    """A client's connection is gone, and no newer one has taken its place."""

    client: str


@dataclass(frozen=True)
class Joined:
    """A client connected, anew or in place of an older connection."""

    client: str


@dataclass(frozen=True)
class Deadline:
    """The time of this round is up."""

    round: int


@dataclass(frozen=True)
class Reset:
    """Everything starts over; an open round ends unused."""


@dataclass(frozen=True)
class Resumed:
    """The open round goes on in a new process; see :func:`replayed`."""


@dataclass(frozen=True)
class Rollback:
    """Somebody wants an older model back."""


Event = Start | Update | Failed | Left | Joined | Deadline | Reset | Resumed | Rollback


@dataclass(frozen=True)
class Open:
    """Reply to ``Start``: record the round and send the model to these clients."""

    round: int
    clients: tuple[str, ...]


@dataclass(frozen=True)
class Ask:
    """Send the model of the open round to this client once more."""

    round: int
    client: str


@dataclass(frozen=True)
class Fold:
    """Fold this client's update into the aggregate: comes at most once per round and client."""

    round: int
    client: str


@dataclass(frozen=True)
class Drop:
    """Record that the open round goes on without this client, and why."""

    round: int
    client: str
    reason: str


@dataclass(frozen=True)
class Accept:
    """Reply: taken, now or when it first came."""


@dataclass(frozen=True)
class Refuse:
    """Reply: no, for this reason. Nothing has changed."""

    code: Literal["busy", "too few clients", "round over", "unknown round", "not asked"]
    reason: str


@dataclass(frozen=True)
class Commit:
    """The round ends with enough updates: finish the aggregate and make it the global model."""

    round: int


@dataclass(frozen=True)
class Abandon:
    """The round ends without a result: the global model stays as it was."""

    round: int
    reason: str


@dataclass(frozen=True)
class Restore:
    """Reply to ``Rollback``: an older model becomes the global one under this new number."""

    round: int


Action = Open | Ask | Fold | Drop | Accept | Refuse | Commit | Abandon | Restore
Outcome = tuple[State, tuple[Action, ...]]


def step(state: State, event: Event) -> Outcome:
    """Apply one event; return the next state and the actions that it calls for, in order."""
    match event:
        case Start():
            return _start(state, event)
        case Update():
            return _update(state, event)
        case Failed():
            return _failed(state, event)
        case Left():
            return _left(state, event)
        case Joined():
            return _joined(state, event)
        case Deadline(number):
            return _deadline(state, number)
        case Resumed():
            return _settle(state, state.running) if state.running else (state, ())
        case Rollback():
            return _rollback(state)
        case Reset():
            return _close(state, "reset") if state.running else (state, ())


def replayed(number: int, clients: Collection[str], events: Iterable[Update | Failed | Left | Joined]) -> Running:
    """Return an open round as a former process had it, from whom it asked and what changed something since, in that order.

    Nobody is connected then, and who was waited for is still: it may come back before the deadline. Whether the round is over is
    asked by ``Resumed``.
    """
    running = Running(number, frozenset(clients), Members(clients))
    for event in events:
        running = _after(running, event)
    return running


def _after(running: Running, event: Update | Failed | Left | Joined) -> Running:
    """Move a client into the set where this event puts it."""
    client, pending, failed = event.client, running.pending.excluding(event.client), running.failed
    match event:
        case Update():
            # One that failed or dropped and delivers after all is welcome while the round is open: its work is as good as any.
            return replace(running, pending=pending, failed=failed.excluding(client), updated=running.updated.including(client))
        case Failed():
            return replace(running, pending=pending, failed=failed.including(client))
        case Left():
            return replace(running, pending=pending)
        case Joined():
            # A pending client is asked again too: what was sent over its former connection may never have arrived.
            return replace(running, pending=running.pending.including(client))


def _start(state: State, event: Start) -> Outcome:
    if state.running:
        return state, (Refuse("busy", f"round {state.running.number} is running"),)
    clients = frozenset(event.clients)
    needed = max(1, state.rules.min_clients)
    if len(clients) < needed:
        others = f" ({event.others} more do not measure what the task takes)" if event.others else ""
        return state, (Refuse("too few clients", f"{len(clients)} clients are connected{others}, a round needs {needed}"),)
    running = Running(state.last + 1, clients, Members(clients))
    return replace(state, last=running.number, running=running), (Open(running.number, tuple(sorted(clients))),)


def _rollback(state: State) -> Outcome:
    if state.running:
        number = state.running.number
        return state, (Refuse("busy", f"round {number} is running, and its clients train from the model that is: wait for its end"),)
    return replace(state, last=state.last + 1), (Restore(state.last + 1),)


def counts(state: State, event: Update) -> bool:
    """Return whether an update will be folded, so that it has to be put aside before."""
    running = state.running
    if running is None or event.round != running.number:
        return False
    return event.client in running.selected and event.client not in running.updated


def _update(state: State, event: Update) -> Outcome:
    running = state.running
    if running is None or event.round != running.number:
        if event.client in state.answered.get(event.round, ()):
            return state, (Accept(),)
        return state, (_outside(state, event.round),)
    if event.client not in running.selected:
        return state, (Refuse("not asked", f"not asked to take part in round {event.round}"),)
    if event.client in running.updated:
        return state, (Accept(),)
    return _settle(state, _after(running, event), Fold(running.number, event.client), Accept())


def _failed(state: State, event: Failed) -> Outcome:
    running = state.running
    if running is None or event.round != running.number:
        over = 0 < event.round <= state.last
        return state, (Accept() if over else _outside(state, event.round),)
    if event.client not in running.selected:
        return state, (Refuse("not asked", f"not asked to take part in round {event.round}"),)
    if event.client in running.updated or event.client in running.failed:
        return state, (Accept(),)
    return _settle(state, _after(running, event), Drop(running.number, event.client, event.reason), Accept())


def _left(state: State, event: Left) -> Outcome:
    running = state.running
    if running is None or event.client not in running.pending:
        return state, ()
    return _settle(state, _after(running, event), Drop(running.number, event.client, reasons.GONE))


def _joined(state: State, event: Joined) -> Outcome:
    running = state.running
    if running is None or event.client not in running.selected:
        return state, ()
    if event.client in running.updated or event.client in running.failed:
        return state, ()
    return replace(state, running=_after(running, event)), (Ask(running.number, event.client),)


def _deadline(state: State, number: int) -> Outcome:
    running = state.running
    if running is None or running.number != number:
        return state, ()
    late = [Drop(number, client, reasons.LATE) for client in sorted(running.pending)]
    return _settle(state, replace(running, pending=Members()), *late)


def _outside(state: State, number: int) -> Refuse:
    if 0 < number <= state.last:
        return Refuse("round over", "round over")
    return Refuse("unknown round", f"unknown round {number}")


def _settle(state: State, running: Running, *actions: Action) -> Outcome:
    state = replace(state, running=running)
    if running.pending:
        return state, actions
    state, ending = _close(state)
    return state, (*actions, *ending)


def _close(state: State, reason: str = "") -> Outcome:
    running = state.running
    assert running is not None
    arrived, needed = len(running.updated), max(1, state.rules.min_updates)
    if not reason and arrived < needed:
        reason = f"{arrived} of {len(running.selected)} clients delivered, a round needs {needed}"
    recent = sorted((*state.answered, running.number))[-REMEMBERED:]
    answered = {number: state.answered.get(number, running.updated) for number in recent}
    ending = Abandon(running.number, reason) if reason else Commit(running.number)
    return replace(state, running=None, answered=answered), (ending,)
