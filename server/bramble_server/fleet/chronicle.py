"""What happened to each client: its log, how its machine was, and what came from it. Bounded; the registry's store keeps it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.health import NOW, Health

EVENTS = 30
"""Events of one client that are kept, the newest."""
LONGEST = 200
"""Characters of an event's words."""
POINTS = 120
"""Points in time of one client's machine that are kept."""
EVERY = 30.0
"""Seconds between two points, as long as there is room; beyond that each two become one."""
SLOWEST = 256 * EVERY
"""Seconds between two points from which on the oldest are dropped instead: the newest ten days are looked back on."""


class Event(NamedTuple):
    """One thing that happened; ``at`` is seconds since 1970 UTC."""

    at: float
    kind: str
    text: str


_WORST: dict[str, Callable[[float, float], float]] = {
    "soc_temperature": max,
    "memory_free": min,
    "disk_free": min,
    "clock_offset": lambda a, b: max(a, b, key=abs),
    "sample_age": max,
    "throttled": lambda a, b: float(int(a) | int(b)),
}
"""What is kept of a machine, and which of two values stands for both: the worse one, so that no spike is lost."""


class Course:
    """How a machine was, in at most ``POINTS`` points however long it lasts.

    Parameters
    ----------
    began
        When it did, seconds since 1970 UTC.
    every
        Seconds between two points.
    points
        What :attr:`points` returned.
    """

    def __init__(self, began: float, every: float = EVERY, points: bytes = b"") -> None:
        self.began, self.every = began, every
        known = np.frombuffer(points, "<f4").reshape(-1, 1 + len(_WORST))
        self._count = len(known)
        self._rows: NDArray[np.float32] = np.concatenate([known, np.full((8, known.shape[1]), np.nan)]).astype(np.float32)

    @property
    def points(self) -> bytes:
        """Its points, for a later server: float32, little-endian, for each the seconds since ``began`` and the measures, NaN if unknown."""
        return self._rows[: self._count].astype("<f4").tobytes()

    def add(self, at: float, values: Mapping[str, float | None]) -> bool:
        """Add what was measured at a time; None is what the machine cannot tell. Return whether another point began with it."""
        row = np.array([max(0.0, at - self.began), *(np.nan if values[name] is None else values[name] for name in _WORST)], np.float32)
        if self._count and self._place(row) == self._place(self._rows[self._count - 1]):
            _join(self._rows[self._count - 1], row)
            return False
        if self._count == POINTS:
            self._make_room()
            self.add(at, values)
            return True
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.full_like(self._rows, np.nan)])
        self._rows[self._count] = row
        self._count += 1
        return True

    def to_json(self) -> dict[str, Any]:
        """Return it: ``every`` how many seconds there is a point at most, ``t`` when each began, and a list for each measure."""
        rows = self._rows[: self._count]
        told = {name: [None if value != value else round(float(value), 3) for value in rows[:, 1 + at]] for at, name in enumerate(_WORST)}
        return {"every": self.every, "t": [round(self.began + float(at), 3) for at in rows[:, 0]], **told}

    def _place(self, row: NDArray[np.float32]) -> int:
        return int(row[0] // self.every)

    def _make_room(self) -> None:
        if self.every >= SLOWEST:
            self._rows[:-1] = self._rows[1:].copy()
            self._count -= 1
            return
        self.every *= 2
        old, self._count = self._rows[: self._count].copy(), 0
        for row in old:
            if self._count and self._place(row) == self._place(self._rows[self._count - 1]):
                _join(self._rows[self._count - 1], row)
            else:
                self._rows[self._count] = row
                self._count += 1


def _join(kept: NDArray[np.float32], other: NDArray[np.float32]) -> None:
    """Put the worse of both into the first, whose time stays."""
    for at, worst in enumerate(_WORST.values(), 1):
        a, b = float(kept[at]), float(other[at])
        kept[at] = b if a != a else a if b != b else worst(a, b)


class Chronicle:
    """Keeps all of that for each client, until it is forgotten. Messages change it while another thread writes it to the store."""

    def __init__(self) -> None:
        self._events: dict[str, deque[Event]] = {}
        self._courses: dict[str, Course] = {}
        self._came: dict[str, dict[str, list[int]]] = {}
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()  # of courses, which change in several steps
        self.grown = set[str]()
        """Clients whose course has another point since whoever keeps it took this."""

    def restore(self, pasts: Mapping[str, Mapping[str, Any]], courses: Iterable[Mapping[str, Any]], now: float) -> None:
        """Take in what :meth:`past` and :meth:`course` returned to a former server; each log says that there is another one now."""
        for client, past in pasts.items():
            self._since[client] = past["since"]
            self._events[client] = deque((Event(*event) for event in past["events"]), maxlen=EVENTS)
            self._came[client] = {event: list(counted) for event, counted in past["came"].items()}
            self.note(client, now, "server", "the server began anew")
        self._courses = {row["client"]: Course(row["began"], row["every"], row["points"]) for row in courses}

    def note(self, client: str, at: float, kind: str, text: str) -> None:
        """Put something into a client's log. What is said twice in a row stays as it was said first."""
        self._since.setdefault(client, at)
        log = self._events.setdefault(client, deque(maxlen=EVENTS))
        text = text[:LONGEST]
        if not log or (log[-1].kind, log[-1].text) != (kind, text):
            log.append(Event(at, kind, text))

    def measured(self, client: str, health: Health, at: float) -> None:
        """Keep how its machine is, by a report that came at ``at``."""
        told: dict[str, float | None] = {
            **{name: getattr(health, name) for name in ("soc_temperature", "memory_free", "disk_free", "sample_age")},
            "clock_offset": health.sent - at,
            "throttled": None if health.throttled is None else health.throttled & NOW,
        }
        with self._lock:
            if client not in self._courses:
                self._courses[client] = Course(at)
            if self._courses[client].add(at, told):
                self.grown.add(client)

    def came(self, client: str, event: str, size: int) -> None:
        """Count a message of so many bytes."""
        counted = self._came.setdefault(client, {}).setdefault(event, [0, 0])
        counted[0] += 1
        counted[1] += size

    def forget(self, client: str) -> None:
        """Drop all of a client that is taken off the list."""
        for kept in (self._events, self._courses, self._came, self._since):
            kept.pop(client, None)
        self.grown.discard(client)

    def past(self, client: str) -> dict[str, Any] | None:
        """Return a client's log and counts for a later server; what it went by is not in it, for in private mode nobody is to know that."""
        if client not in self._since:
            return None
        events = [list(event) for event in tuple(self._events[client]) if event.kind != "in use"]
        came = {event: list(counted) for event, counted in tuple(self._came.get(client, {}).items())}
        return {"since": self._since[client], "events": events, "came": came}

    def course(self, client: str) -> dict[str, Any] | None:
        """Return how a client's machine was, for a later server; None without a report."""
        with self._lock:
            course = self._courses.get(client)
            return None if course is None else {"client": client, "began": course.began, "every": course.every, "points": course.points}

    def to_json(self, client: str) -> dict[str, Any]:
        """Return all of a client: ``since`` when, ``events`` from the oldest on, ``health`` over time or None, ``came`` by kind."""
        course = self._courses.get(client)
        return {
            "since": self._since.get(client),
            "events": [event._asdict() for event in self._events.get(client, ())],
            "health": course and course.to_json(),
            "came": {event: {"messages": messages, "bytes": size} for event, (messages, size) in self._came.get(client, {}).items()},
        }
