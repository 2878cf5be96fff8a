"""What every discipline of rounds is to the server: a machine without memory of its own, ``step(state, event) -> (state, actions)``.

One vocabulary of events and actions serves all of them. The coordinator turns what happens into events and performs the actions in the
order given; it knows nothing else of a discipline, nor a discipline of it: a machine is pure, without socket, clock, thread or database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar

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
    enough: int = 0
    """Updates with which it is over, whoever has not answered; 0: everybody is waited for."""


class Earlier(NamedTuple):
    """An earlier round, whose model somebody trains from."""

    round: int
    staleness: int
    """How many rounds of the task have ended since it was opened."""


@dataclass(frozen=True)
class Start:
    """Somebody asks for a round with clients that are connected and can train the task: with all of them, or with a cohort."""

    clients: Collection[str]
    others: int = 0
    """How many are connected beside them, and cannot."""
    unwell: int = 0
    """How many could, and are not asked for the time being."""
    spare: int = 0
    """How many could, and were not chosen."""
    enough: int = 0
    """Updates with which the round is over; 0: it waits for everybody."""


@dataclass(frozen=True)
class Update:
    """A well-formed update arrived; its weights wait with the coordinator."""

    client: str
    round: int
    digest: str = ""
    """Tells it from another of the same client, where a second one is refused and not taken for a repeat."""


@dataclass(frozen=True)
class Said:
    """A client says what a phase of a secure round asks of it, beside its update."""

    client: str
    round: int
    phase: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class PhaseOver:
    """The time of a phase of a secure round is up."""

    round: int
    phase: str


@dataclass(frozen=True)
class Failed:
    """A client says that it cannot deliver this round, and why."""

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
    """The open round goes on in a new process; see :meth:`Machine.replayed`."""


@dataclass(frozen=True)
class Rollback:
    """Somebody wants an older model back."""


@dataclass(frozen=True)
class Numbered:
    """Numbers up to this one are in use: one sequence goes through all tasks of a server."""

    last: int


Noted = Update | Failed | Left | Joined
"""What is kept of an open round, so that another process can go on with it."""
Event = Noted | Start | Said | PhaseOver | Deadline | Reset | Resumed | Rollback | Numbered


@dataclass(frozen=True)
class Open:
    """Reply to ``Start``: record the round and send the model to these clients."""

    round: int
    clients: tuple[str, ...]
    under_way: Mapping[str, Earlier] = field(default_factory=dict)
    """Clients that are not sent it, for they still train for an earlier round: their update may count in this one."""


@dataclass(frozen=True)
class Ask:
    """Send a client once more what it was sent before: the model of the open round, or of the earlier one that it trains for."""

    round: int
    client: str


@dataclass(frozen=True)
class Fold:
    """Fold this client's update into the aggregate: comes at most once per round and client."""

    round: int
    client: str


@dataclass(frozen=True)
class Keep:
    """Take what a client says in a phase, if it is good: comes at most once for each round, client and phase."""

    said: Said


@dataclass(frozen=True)
class Tell:
    """Begin a phase: tell these clients what the ones before brought, and ask them for their part."""

    round: int
    phase: str
    clients: tuple[str, ...]


@dataclass(frozen=True)
class Drop:
    """Record that the open round goes on without this client, and why."""

    round: int
    client: str
    reason: str


@dataclass(frozen=True)
class Dismiss:
    """Tell these clients that the round goes on without them, so that they need not train for it any more."""

    round: int
    clients: tuple[str, ...]


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


Action = Open | Ask | Fold | Keep | Tell | Drop | Dismiss | Accept | Refuse | Commit | Abandon | Restore


class State(Protocol):
    """What others may see of a machine's state. The rest is its own matter."""

    @property
    def last(self) -> int:
        """The highest round number in use. It survives resets and restarts: were numbers used twice, an update still on its way from the
        first round 7 would be counted in the second.
        """

    @property
    def running(self) -> Running | None:
        """The open round."""

    @property
    def answered(self) -> Mapping[int, Set[str]]:
        """Round number -> clients that were asked in it and whose update was accepted, for the last closed rounds: at least
        ``REMEMBERED``.
        """

    @property
    def under_way(self) -> Mapping[str, int]:
        """Clients whose update may still count though the round that they were asked in is over, and that round's number."""


def no_phases(event: Said) -> Refuse:
    """Return why a round that is no secure one takes nothing but updates."""
    return Refuse("not asked", f"round {event.round} is no secure round, so it has no phase {event.phase}")


def outside(last: int, number: int) -> Refuse:
    """Return why what is said of a round is not taken that is not the open one, where the newest so far is ``last``."""
    return Refuse("round over", "round over") if 0 < number <= last else Refuse("unknown round", f"unknown round {number}")


def with_answers(answered: Mapping[int, Set[str]], running: Running) -> dict[int, Set[str]]:
    """Return whose updates counted, by round, with those of a round that ends: of the newest ``REMEMBERED``."""
    known = {**answered, running.number: frozenset(running.updated)}
    return {number: known[number] for number in sorted(known)[-REMEMBERED:]}


def too_few(event: Start, needed: int) -> Refuse:
    """Return why no round can open, and what becomes of those that are connected and do not count."""
    others = [
        *([f"{event.others} more do not measure what the task takes"] if event.others else []),
        *([f"{event.unwell} more are not asked for the time being"] if event.unwell else []),
    ]
    there = len(frozenset(event.clients)) + event.spare
    more = f" ({', '.join(others)})" if others else ""
    return Refuse("too few clients", f"{there} clients are connected{more}, a round needs {needed}")


S = TypeVar("S")


class Machine(Protocol[S]):
    """One discipline of rounds; :mod:`bramble_server.rounds.synchronous` is one, :mod:`~bramble_server.rounds.asynchronous` another.
    ``S`` is its kind of :class:`State`.

    Whatever order of events it is fed, these hold, and ``tests/server/rounds/promises.py`` has hypothesis look for one that breaks them:

    * An event that somebody waits on (``Start``, ``Update``, ``Said``, ``Failed``, ``Rollback``) yields exactly one reply: ``Open``,
      ``Accept``, ``Restore`` or ``Refuse``; no other event yields any. A ``Refuse`` is all that there is then, and all that counts as it
      was.
    * Nothing acknowledged is lost: an ``Update`` that is accepted was folded into its round, now or when it first came, and its repeats
      are accepted for as long as its round is remembered, also over a restart.
    * Nothing counts twice: ``Fold`` comes at most once for a round and a client, and what a client was asked once is folded into one
      round at most.
    * Each round that opens ends exactly once, by ``Commit`` or ``Abandon``, and its ``Deadline`` always leads there. ``Commit`` has the
      updates that the rules ask for.
    * A round's number is higher than any in use before.
    """

    def begin(self, rules: Rules, last: int = 0, answered: Mapping[int, Set[str]] = ..., under_way: Mapping[str, int] = ..., /) -> S:
        """Return the state without an open round, given what a former process left."""

    @property
    def remembered(self) -> int:
        """How many closed rounds ``begin`` is to be told of."""

    def replayed(self, state: S, number: int, clients: Mapping[str, int], events: Iterable[Noted], enough: int = 0, /) -> S:
        """Return the state with a round as a former process had it, from who takes part, each with the round that it was asked in, what
        changed something since, in that order, and with how many updates it is over.

        Nobody is connected then, and who was waited for is still: it may come back before the deadline. Whether the round is over is
        asked by ``Resumed``.
        """

    def step(self, state: S, event: Event, /) -> tuple[S, tuple[Action, ...]]:
        """Apply one event; return the next state and the actions that it calls for, in order.

        If performing ``Fold`` or ``Keep`` fails, the coordinator keeps the old state and refuses: the client is then still waited for.
        """

    def counts(self, state: S, event: Update, /) -> bool:
        """Return whether an update will be folded, so that it has to be put aside before."""
