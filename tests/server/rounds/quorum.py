"""Another discipline of rounds, for tests: a round is over with the first updates that suffice, and waits for nobody else."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bramble_server.rounds import synchronous
from bramble_server.rounds.machine import Deadline, Drop, Event, Noted, Resumed, Update
from bramble_server.rounds.synchronous import Outcome, State, begin, counts, remembered

__all__ = ["begin", "counts", "remembered", "replayed", "step"]


def step(state: State, event: Event) -> Outcome:
    """Apply one event."""
    state, actions = synchronous.step(state, event)
    running = state.running
    if running and isinstance(event, Update | Resumed) and len(running.updated) >= max(1, state.rules.min_updates):
        state, ending = synchronous.step(state, Deadline(running.number))
        return state, (*actions, *(action for action in ending if not isinstance(action, Drop)))
    return state, actions


def replayed(state: State, number: int, clients: Collection[str], events: Iterable[Noted], enough: int = 0) -> State:
    """Return the state with an open round as a former process had it."""
    return synchronous.replayed(state, number, clients, events, enough)
