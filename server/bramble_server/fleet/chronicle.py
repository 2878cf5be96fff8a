"""What happened to each client since this server began: its log, how its machine was, and what came from it. Bounded, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.health import NOW, Health

EVENTS = 30
"""Events of one client that are kept, the newest."""
LONGEST = 200
"""Characters of an event's words."""
POINTS = 120
"""Points in time of one client's machine that are kept; beyond that two become one."""
EVERY = 30.0
"""Seconds between two points, as long as there is room."""


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
    """How a machine was, in at most ``POINTS`` points however long it lasts: once there are as many, each two become one."""

    def __init__(self, began: float) -> None:
        self._began, self._every = began, EVERY
        self._rows: NDArray[np.float32] = np.full((8, 1 + len(_WORST)), np.nan, np.float32)
        self._count = 0

    def add(self, at: float, values: Mapping[str, float | None]) -> None:
        """Add what was measured at a time; None is what the machine cannot tell."""
        row = np.array([max(0.0, at - self._began), *(np.nan if values[name] is None else values[name] for name in _WORST)], np.float32)
        if self._count and self._place(row) == self._place(self._rows[self._count - 1]):
            _join(self._rows[self._count - 1], row)
            return
        if self._count == POINTS:
            self._halve()
            self.add(at, values)
            return
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.full_like(self._rows, np.nan)])
        self._rows[self._count] = row
        self._count += 1

    def to_json(self) -> dict[str, Any]:
        """Return it: ``every`` how many seconds there is a point at most, ``t`` when each began, and a list for each measure."""
        rows = self._rows[: self._count]
        told = {name: [None if value != value else round(float(value), 3) for value in rows[:, 1 + at]] for at, name in enumerate(_WORST)}
        return {"every": self._every, "t": [round(self._began + float(at), 3) for at in rows[:, 0]], **told}

    def _place(self, row: NDArray[np.float32]) -> int:
        return int(row[0] // self._every)

    def _halve(self) -> None:
        self._every *= 2
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
    """Keeps all of that for each client, until it is forgotten."""

    def __init__(self) -> None:
        self._events: dict[str, deque[Event]] = {}
        self._courses: dict[str, Course] = {}
        self._came: dict[str, dict[str, list[int]]] = {}

    def note(self, client: str, at: float, kind: str, text: str) -> None:
        """Put something into a client's log. What is said twice in a row stays as it was said first."""
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
        if client not in self._courses:
            self._courses[client] = Course(at)
        self._courses[client].add(at, told)

    def came(self, client: str, event: str, size: int) -> None:
        """Count a message of so many bytes."""
        counted = self._came.setdefault(client, {}).setdefault(event, [0, 0])
        counted[0] += 1
        counted[1] += size

    def forget(self, client: str) -> None:
        """Drop all of a client that is taken off the list."""
        for kept in (self._events, self._courses, self._came):
            kept.pop(client, None)

    def to_json(self, client: str) -> dict[str, Any]:
        """Return all of a client: ``events`` from the oldest on, ``health`` over time (None without a report), ``came`` by kind."""
        course = self._courses.get(client)
        return {
            "events": [event._asdict() for event in self._events.get(client, ())],
            "health": course and course.to_json(),
            "came": {event: {"messages": messages, "bytes": size} for event, (messages, size) in self._came.get(client, {}).items()},
        }
