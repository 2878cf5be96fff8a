"""What is asked of the server about one client alone, for its page: its part in the rounds, its readings, and its past."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bramble.api import JSON, Server, ServerRefused
from bramble_inspector import series
from bramble_inspector.feed import MAX_ROUNDS, Snapshot
from bramble_inspector.series import Readings

NEWEST = 300
"""Newest readings of each channel that are fetched as they are: a forecast is compared with these."""
RECORD, POINTS = 20_000, 800
"""Readings of each channel that are looked back on, and how many of them stand for all; the server chooses those, and loses no spike."""
AGAIN_S = 3.0
"""Seconds for which what was fetched is believed, however often there is something new."""
KEPT = 40
"""Clients of which that is kept."""
_UNKNOWN = (400, 404, 405)
"""What a release that does not know such a question answers."""
Found = TypeVar("Found")


@dataclass
class _One:
    at: float = -AGAIN_S
    revision: Any = None
    rounds: dict[int, JSON] = field(default_factory=dict)
    readings: Readings = field(default_factory=dict)
    past: JSON | None = None
    marks: dict[str, int] = field(default_factory=dict)


class Apart:
    """Asks about clients one by one, on behalf of all pages."""

    def __init__(self, client: Server) -> None:
        self._client = client
        self._known: OrderedDict[tuple[str | None, str], _One] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, snapshot: Snapshot, name: str) -> Snapshot:
        """Return a snapshot with what there is of one client, however many there are.

        Raises
        ------
        ServerError
            If the server cannot be asked.
        """
        with self._lock:
            key = (snapshot.task, name)
            one = self._known[key] = self._known.pop(key) if key in self._known else _One()
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
            revision, old = snapshot.status.get("revision"), time.monotonic() - one.at > AGAIN_S
            if snapshot.down is None and one.revision != revision and old:
                self._fetch(one, snapshot, name)
                one.at, one.revision = time.monotonic(), revision
        # The page's other marks are the feed's; these stand for what was found here
        marks = {part: f"{snapshot.changed.get('order')} {name} {number}" for part, number in one.marks.items()}
        order = snapshot.order if name in snapshot.order else (*snapshot.order, name)
        return replace(
            snapshot, rounds=one.rounds, readings=one.readings, past=one.past, order=order, changed={**snapshot.changed, **marks}
        )

    def _fetch(self, one: _One, snapshot: Snapshot, name: str) -> None:
        rounds = self._rounds(one.rounds, snapshot, name)
        readings = snapshot.readings if snapshot.private else self._readings(snapshot, name)
        past = _asked(lambda: self._client.history(name), None)
        same = {"rounds": rounds == one.rounds, "readings": _ends(readings) == _ends(one.readings), "past": past == one.past}
        for part in same:
            if not same[part] or part not in one.marks:
                one.marks[part] = one.marks.get(part, 0) + 1
        one.rounds, one.readings, one.past = rounds, readings, past

    def _rounds(self, old: dict[int, JSON], snapshot: Snapshot, name: str) -> dict[int, JSON]:
        """Fetch the newest rounds with its part; only what is new, as long as the server still knows the last one."""
        if not snapshot.many:
            return snapshot.rounds
        over = {number: entry for number, entry in old.items() if entry["state"] != "running"}
        last = max(over, default=0)

        def newest(since: int) -> dict[int, JSON]:
            task = snapshot.task if snapshot.several else None
            return {entry["round"]: entry for entry in self._client.rounds(since, MAX_ROUNDS, task, client=name)}

        new = newest(max(0, last - 1))
        found = {**over, **new} if not last or last in new else newest(0)
        return {number: found[number] for number in sorted(found)[-MAX_ROUNDS:]}

    def _readings(self, snapshot: Snapshot, name: str) -> Readings:
        record = _asked(lambda: self._client.readings(limit=RECORD, client=name, points=POINTS), None)
        if record is None:
            return snapshot.readings
        newest = self._client.readings(limit=NEWEST, client=name)
        return series.merge(series.parse(record), series.parse(newest), RECORD)


def _asked(ask: Callable[[], Found], otherwise: Found) -> Found:
    try:
        return ask()
    except ServerRefused as error:
        if error.status not in _UNKNOWN:
            raise
        return otherwise


def _ends(readings: Readings) -> Any:
    """Return what tells whether there are new readings."""
    return {
        client: {key: (one.t.size, one.t[:1].tolist(), one.t[-1:].tolist()) for key, one in channels.items()}
        for client, channels in readings.items()
    }
