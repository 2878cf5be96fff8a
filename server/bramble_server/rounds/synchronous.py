"""Rounds that wait for everybody they asked, for as many as are enough, or until the deadline: federated averaging as the papers have it.

See :class:`bramble_server.rounds.machine.Machine` for what it promises.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
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
    Dismiss,
    Drop,
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
    outside,
    too_few,
    with_answers,
)  # fmt: skip
from bramble_server.rounds.members import Members


@dataclass(frozen=True)
class State:
    """All that the machine knows between two events."""

    rules: Rules = field(default_factory=Rules)
    last: int = 0
    running: Running | None = None
    answered: Mapping[int, Set[str]] = field(default_factory=dict)

    @property
    def under_way(self) -> Mapping[str, int]:
        """Nobody: who is late for a round is late."""
        return {}


Outcome = tuple[State, tuple[Action, ...]]
remembered = REMEMBERED


def begin(rules: Rules, last: int = 0, answered: Mapping[int, Set[str]] | None = None, under_way: Mapping[str, int] | None = None) -> State:
    """Return the state without an open round."""
    return State(rules, last, answered=answered or {})


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
        case Said():
            return state, (no_phases(event),)
        case PhaseOver():
            return state, ()
        case Numbered(last):
            return (replace(state, last=last) if last > state.last else state), ()
        case Reset():
            return _close(state, "reset") if state.running else (state, ())


def replayed(state: State, number: int, clients: Collection[str], events: Iterable[Noted], enough: int = 0) -> State:
    """Return the state with an open round as a former process had it."""
    running = Running(number, frozenset(clients), Members(clients), enough=enough)
    for event in events:
        running = _after(running, event)
    return replace(state, running=running)


def _after(running: Running, event: Noted) -> Running:
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
    if len(clients) + event.spare < needed:
        return state, (too_few(event, needed),)
    running = Running(state.last + 1, clients, Members(clients), enough=event.enough)
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
        return state, (outside(state.last, event.round),)
    if event.client not in running.selected:
        return state, (Refuse("not asked", f"not asked to take part in round {event.round}"),)
    if event.client in running.updated:
        return state, (Accept(),)
    return _settle(state, _after(running, event), Fold(running.number, event.client), Accept())


def _failed(state: State, event: Failed) -> Outcome:
    running = state.running
    if running is None or event.round != running.number:
        over = 0 < event.round <= state.last
        return state, (Accept() if over else outside(state.last, event.round),)
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
    return _without(state, running, reasons.LATE)


def _without(state: State, running: Running, reason: str, *actions: Action) -> Outcome:
    """End a round without those that have not answered, and let them know."""
    missing = tuple(sorted(running.pending))
    dropped = [Drop(running.number, client, reason) for client in missing]
    state, ending = _close(replace(state, running=replace(running, pending=Members())))
    return state, (*actions, *dropped, *([Dismiss(running.number, missing)] if missing else []), *ending)


def _settle(state: State, running: Running, *actions: Action) -> Outcome:
    state = replace(state, running=running)
    if running.pending:
        enough = running.enough and max(running.enough, state.rules.min_updates)
        return _without(state, running, reasons.SPARED, *actions) if 0 < enough <= len(running.updated) else (state, actions)
    state, ending = _close(state)
    return state, (*actions, *ending)


def _close(state: State, reason: str = "") -> Outcome:
    running = state.running
    assert running is not None
    arrived, needed = len(running.updated), max(1, state.rules.min_updates)
    if not reason and arrived < needed:
        reason = f"{arrived} of {len(running.selected)} clients delivered, a round needs {needed}"
    answered = with_answers(state.answered, running)
    ending = Abandon(running.number, reason) if reason else Commit(running.number)
    return replace(state, running=None, answered=answered), (ending,)
