"""Rounds whose updates nobody sees, only their sum: phase after phase with those that are left, and opened by enough of them or not at all.

The phases are those of Bonawitz et al. 2017, figure 4: ``keys``, ``shares``, ``masked`` (the update, whose words are masked), ``list``
(each agrees to who is in the sum) and ``open`` (the shares that take the masks off). Who misses one is out for good: masks were made with
it, and another answer of it could open what it answered before. See :class:`bramble_server.rounds.machine.Machine` for what it promises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from bramble_protocol import reasons
from bramble_protocol.secure import LEAST
from bramble_server.rounds.machine import (
    REMEMBERED,
    Abandon,
    Accept,
    Action,
    Commit,
    Deadline,
    Dismiss,
    Drop,
    Event,
    Failed,
    Fold,
    Joined,
    Keep,
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
    Tell,
    Update,
    outside,
    too_few,
    with_answers,
)  # fmt: skip
from bramble_server.rounds.members import Members

PHASES = ("keys", "shares", "masked", "list", "open")
"""What clients are asked for, one after the other."""


@dataclass(frozen=True)
class State:
    """All that the machine knows between two events."""

    rules: Rules = field(default_factory=Rules)
    last: int = 0
    running: Running | None = None
    """``pending`` are those that the present phase waits for, ``updated`` those whose masked words came."""
    answered: Mapping[int, Set[str]] = field(default_factory=dict)
    phase: str = PHASES[0]
    """What the open round waits for."""
    done: frozenset[str] = frozenset()
    """Who has done the present phase and is still there."""
    gave_keys: int = 0
    """How many went on from the phase ``keys``: more than half of them open the sum, or nobody does."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of each masked vector that came."""

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
    running = state.running
    match event:
        case Start():
            return _start(state, event)
        case Update() | Said():
            return _brought(state, event)
        case Failed():
            return _failed(state, event)
        case Left(client) | Joined(client):  # what was under way to its former connection may be lost, and is not said twice
            return _without(state, running, client, reasons.GONE) if running else (state, ())
        case PhaseOver(number, phase):
            return _late(state, running) if running and (running.number, state.phase) == (number, phase) else (state, ())
        case Deadline(number):
            return _deadline(state, running) if running and running.number == number else (state, ())
        case Rollback():
            if running:
                why = f"round {running.number} is running, and its clients train from the model that is: wait for its end"
                return state, (Refuse("busy", why),)
            return replace(state, last=state.last + 1), (Restore(state.last + 1),)
        case Numbered(last):
            return (replace(state, last=last) if last > state.last else state), ()
        case Reset():
            return _close(state, running, "reset") if running else (state, ())
        case Resumed():
            return _close(state, running, "server restarted, and a secure round does not outlive its process") if running else (state, ())


def replayed(state: State, number: int, clients: Mapping[str, int], events: Iterable[Noted], enough: int = 0) -> State:
    """Return the state with a round that a former process left open, and that ends as soon as it is resumed.

    What would open its sum was in that process alone: its file has nothing of it.
    """
    return replace(state, running=Running(number, frozenset(clients), Members()), phase=PHASES[0], done=frozenset())


def counts(state: State, event: Update) -> bool:
    """Return whether an update will be folded, so that it has to be put aside before."""
    running = state.running
    return running is not None and event.round == running.number and state.phase == "masked" and event.client in running.pending


def _start(state: State, event: Start) -> Outcome:
    if state.running:
        return state, (Refuse("busy", f"round {state.running.number} is running"),)
    clients, needed = frozenset(event.clients), max(LEAST, state.rules.min_clients)
    if len(clients) + event.spare < needed or len(clients) < LEAST:
        return state, (too_few(event, needed),)
    running = Running(state.last + 1, clients, Members(clients))
    begun = State(state.rules, running.number, running, state.answered)
    return begun, (Open(running.number, tuple(sorted(clients))),)


def _brought(state: State, event: Update | Said) -> Outcome:
    running, masked = state.running, isinstance(event, Update)
    if running is None or event.round != running.number:
        if masked and event.client in state.answered.get(event.round, ()):
            return state, (Accept(),)
        return state, (outside(state.last, event.round),)
    phase = "masked" if isinstance(event, Update) else event.phase
    if event.client not in running.selected:
        return state, (Refuse("not asked", f"not asked to take part in round {event.round}"),)
    if isinstance(event, Update) and event.client in running.updated:
        if state.digests[event.client] != event.digest:
            return state, (
                Refuse("not asked", "masked words came from this client before, and these are others: two would tell their difference"),
            )
        return state, (Accept(),)
    if phase != state.phase or event.client not in running.pending:
        why = f"round {event.round} waits for {state.phase}, not for {phase}, or goes on without this client"
        return state, (Refuse("not asked", why),)
    taken: Action = Fold(running.number, event.client) if isinstance(event, Update) else Keep(event)
    if isinstance(event, Update):
        state = replace(state, digests={**state.digests, event.client: event.digest})
        running = replace(running, updated=running.updated.including(event.client))
    running = replace(running, pending=running.pending.excluding(event.client))
    return _settle(replace(state, running=running, done=state.done | {event.client}), taken, Accept())


def _failed(state: State, event: Failed) -> Outcome:
    running = state.running
    if running is None or event.round != running.number:
        over = 0 < event.round <= state.last
        return state, (Accept() if over else outside(state.last, event.round),)
    if event.client not in running.selected:
        return state, (Refuse("not asked", f"not asked to take part in round {event.round}"),)
    return _without(state, running, event.client, event.reason, Accept())


def _without(state: State, running: Running, client: str, reason: str, *actions: Action) -> Outcome:
    """Go on without a client, for good; whose masked words came stays in the sum."""
    if client not in running.pending and client not in state.done:
        return state, actions
    dropped = () if client in running.updated else (Drop(running.number, client, reason),)
    failed = running.failed if client in running.updated else running.failed.including(client)
    running = replace(running, pending=running.pending.excluding(client), failed=failed)
    return _settle(replace(state, running=running, done=state.done - {client}), *dropped, *actions)


def _late(state: State, running: Running, reason: str = reasons.LATE) -> Outcome:
    """End a phase without those that have not done it."""
    missing = tuple(sorted(running.pending))
    out = tuple(client for client in missing if client not in running.updated)
    failed = running.failed
    for client in out:
        failed = failed.including(client)
    running = replace(running, pending=Members(), failed=failed)
    told = (Dismiss(running.number, out),) if out else ()
    return _settle(replace(state, running=running), *(Drop(running.number, client, reason) for client in out), *told)


def _deadline(state: State, running: Running) -> Outcome:
    if state.phase == PHASES[-1]:
        return _late(state, running)
    missing = tuple(client for client in sorted(running.pending) if client not in running.updated)
    ended, actions = _close(state, running, f"its time was up while it waited for {state.phase}")
    told = (Dismiss(running.number, missing),) if missing else ()
    return ended, (*(Drop(running.number, client, reasons.LATE) for client in missing), *told, *actions)


def _settle(state: State, *actions: Action) -> Outcome:
    """Go on to the next phase once nobody is waited for, with those that did the present one."""
    running = state.running
    assert running is not None
    if running.pending:
        return state, actions
    left = len(state.done)
    gave_keys = left if state.phase == PHASES[0] else state.gave_keys
    needed = max(LEAST, state.rules.min_updates, gave_keys // 2 + 1)
    if left < needed:
        what = f"{left} of {len(running.selected)} clients are left after {state.phase}, and a secure round needs {needed}"
        state, ending = _close(state, running, what)
        return state, (*actions, *ending)
    if state.phase == PHASES[-1]:
        state, ending = _close(state, running)
        return state, (*actions, *ending)
    phase = PHASES[PHASES.index(state.phase) + 1]
    running = replace(running, pending=Members(state.done))
    told = Tell(running.number, phase, tuple(sorted(state.done)))
    return replace(state, running=running, phase=phase, done=frozenset(), gave_keys=gave_keys), (*actions, told)


def _close(state: State, running: Running, reason: str = "") -> Outcome:
    answered = with_answers(state.answered, running)
    ending = Abandon(running.number, reason) if reason else Commit(running.number)
    return State(state.rules, state.last, None, answered), (ending,)
