"""What the server said last, shared by every open page.

Pages ask once a second; the feed asks the server at most once in that time, and for more than ``/status`` only when its
revision has changed. Rounds and readings come piece by piece: a fleet's history is fetched once.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bramble.api import JSON, Server, ServerError, ServerRefused
from bramble_inspector import series
from bramble_inspector.series import Readings

logger = logging.getLogger(__name__)

MAX_ROUNDS = 500
"""Rounds kept with their clients' measures."""
MANY = 200
"""Clients from which on nobody asks for all of them: the server finds, sorts and sums up what is to be shown."""
PRESSING = 50
"""Clients that need somebody of whom a snapshot says why, the most pressing ones; it has the number of all."""
_STALE_S = 15.0
"""After a longer pause nothing is assumed of the server: it may be another one."""


@dataclass(frozen=True)
class Snapshot:
    """All that a page shows. ``changed`` names the state of each part, so that a page redraws only what is new to it."""

    server: str = ""
    """Its address."""
    down: str | None = None
    """One sentence on why there is nothing newer, or None while the server answers."""
    stranger: str | None = None
    """The task that was asked for, where the server has none of that name and its first is shown instead."""
    status: JSON = field(default_factory=dict)
    clients: dict[str, JSON] = field(default_factory=dict)
    never_seen: tuple[str, ...] = ()
    """Ids that may connect and never did."""
    updates: dict[str, JSON] = field(default_factory=dict)
    rounds: dict[int, JSON] = field(default_factory=dict)
    """Ascending by round."""
    readings: Readings = field(default_factory=dict)
    order: tuple[str, ...] = ()
    """Clients in the order in which they were first seen; a client's place, and so its colour, stays while the server knows it."""
    changed: dict[str, str] = field(default_factory=dict)
    summary: JSON | None = None
    """Who needs somebody most (``rows``), and how many clients there are of what; None of a server that cannot say so."""
    find: Callable[..., JSON] = field(default=lambda **asked: {"rows": [], "found": 0}, compare=False)
    """Asks the server for a page of its clients, as ``Server.page`` does."""
    one: Callable[[str], JSON | None] = field(default=lambda name: None, compare=False)
    """Asks the server for one client; None where there is none of that id."""
    round: Callable[[int], JSON | None] = field(default=lambda number: None, compare=False)
    """Asks the server for one round with each client's part; None where this task has none of that number."""
    past: JSON | None = None
    """What happened to one client, where this is about one alone; None of a server that does not tell."""

    @property
    def many(self) -> bool:
        """Whether there are too many clients to know each of them here."""
        return self.summary is not None and self.summary["total"] > MANY

    @property
    def private(self) -> bool:
        """Whether the server keeps no readings at all."""
        return self.status.get("mode") == "private"

    @property
    def manifest(self) -> JSON:
        """The task's manifest, empty while unknown."""
        manifest: JSON = self.status.get("manifest") or {}
        return manifest

    @property
    def task(self) -> str | None:
        """The task that all of this is about, None while unknown."""
        return self.status.get("task")

    @property
    def tasks(self) -> list[str]:
        """The server's tasks, the first first; a server that knows one alone tells no more than that one."""
        return [each["task"] for each in self.status.get("tasks", ())] or ([self.task] if self.task else [])

    @property
    def several(self) -> bool:
        """Whether it has to be said which task is meant."""
        return len(self.tasks) > 1

    @property
    def forecast(self) -> str:
        """The channel of the task's forecasts."""
        return str(self.status.get("forecast") or f"{self.manifest.get('target', '')}{series.FORECAST}")

    @property
    def ended(self) -> list[JSON]:
        """Rounds that are over, ascending."""
        return [entry for entry in self.rounds.values() if entry["state"] != "running"]

    @property
    def committed(self) -> list[JSON]:
        """Rounds that made a new global model, ascending."""
        return [entry for entry in self.rounds.values() if entry["state"] == "committed"]


class Feeds:
    """Asks the server on behalf of all pages, whichever of its tasks they show.

    Parameters
    ----------
    client
        The server.
    interval
        Seconds in which at most one look at each task is taken.
    history
        Newest readings kept of each channel.
    """

    def __init__(self, client: Server, interval: float, history: int) -> None:
        self._of = partial(Feed, client, interval, history)
        self._first, self._others = self._of(), dict[str, Feed]()

    def look(self, task: str | None = None) -> Snapshot:
        """Return the newest state of a task; of the first where none is named, or the server has none of that name."""
        first = self._first.look()
        if task is None or task == first.task or not first.status:
            return first
        if task not in first.tasks:
            return replace(first, stranger=task, changed=first.changed | {"status": f"{first.changed['status']} without {task}"})
        return self._others.setdefault(task, self._of(task)).look(first)


class Feed:
    """Asks the server about one task.

    Parameters
    ----------
    client
        The server.
    interval
        Seconds in which at most one look at the server is taken.
    history
        Newest readings kept of each channel.
    task
        None: the server's first.
    """

    def __init__(self, client: Server, interval: float, history: int, task: str | None = None) -> None:
        self._client = client
        self._task = task
        self._interval = interval
        self._history = history
        self._lock = threading.Lock()
        self._snapshot = Snapshot(client.url)
        self._looked = -_STALE_S
        self._pages: dict[str, JSON] = {}
        self._ones: dict[str, JSON | None] = {}
        self._older: dict[int, JSON | None] = {}
        self._mark = 0
        # A page that outlives this process must not take an old mark for a new one
        self._name = secrets.token_hex(4)

    def look(self, first: Snapshot | None = None) -> Snapshot:
        """Return the newest state; take a look at the server if the last one is old.

        While another page's look is under way this returns what is known, so a slow server holds up one page's request only.

        Parameters
        ----------
        first
            The state of the server's first task, where this is another: readings belong to none, and come with that one.
        """
        if self._lock.acquire(blocking=not self._snapshot.changed):
            try:
                age = time.monotonic() - self._looked
                if age >= self._interval * 0.9:
                    self._snapshot = self._next(self._snapshot, age > _STALE_S, first)
                    self._looked = time.monotonic()
            finally:
                self._lock.release()
        return self._snapshot

    def _next(self, old: Snapshot, fresh: bool, first: Snapshot | None) -> Snapshot:
        try:
            new = self._fetch(old, fresh or old.down is not None, first)
        except ServerError as error:
            if old.down != str(error):
                logger.warning("%s", error)
            new = replace(old, down=str(error))
        except (KeyError, TypeError, ValueError) as error:
            new = replace(old, down=f"The server at {self._client.url} answers in a way this inspector does not know ({error!r}).")
            if old.down != new.down:
                logger.exception("the server's answer does not follow the contract")
        else:
            if old.down is not None:
                logger.info("the server at %s answers again", self._client.url)
        return replace(new, changed=self._marks(old, new))

    def _fetch(self, old: Snapshot, fresh: bool, first: Snapshot | None) -> Snapshot:
        if first is not None and first.down is not None:
            return replace(old, down=first.down)
        status = self._client.status(self._task)
        if not fresh and status["revision"] == old.status.get("revision"):
            new = old
        else:
            try:
                new = self._add(Snapshot(old.server, order=old.order) if fresh else old, status, first)
            except _ForgottenError:
                new = self._add(Snapshot(old.server, order=old.order), status, first)
        return new if first is None else replace(new, readings=first.readings, order=first.order)

    def _add(self, old: Snapshot, status: JSON, first: Snapshot | None) -> Snapshot:
        summary = self._summary()
        for known in (self._pages, self._ones, self._older):
            known.clear()
        ask: Any = {"find": self._find, "one": self._one, "round": self._round}
        if summary is not None and summary["total"] > MANY:
            return Snapshot(old.server, None, None, status, rounds=self._rounds(old.rounds, False), summary=summary, **ask)
        clients, never_seen = self._client.everybody(self._task)
        rounds = self._rounds(old.rounds)
        same = old.updates and status["round"] == old.status.get("round")
        updates = old.updates if same else self._client.updates(task=self._task)
        private = status["mode"] == "private" or first is not None
        readings = {} if private else self._readings(old.readings, clients)
        # Only whom the server knows: at the same address there may be another one now, and another fleet.
        there = {*clients, *updates, *readings}
        order = (*(client for client in old.order if client in there), *sorted(there.difference(old.order)))
        return Snapshot(
            old.server, None, None, status, clients, tuple(never_seen), updates, rounds, readings, order, summary=summary, **ask
        )  # fmt: skip

    def _summary(self) -> JSON | None:
        try:
            answer = self._client.page(PRESSING, self._task, sort="attention")
        except ServerRefused as error:
            if error.status != 400:
                raise
            return None
        return answer if "rows" in answer else None  # a release before 0.2 knows of no pages

    def _find(self, **asked: Any) -> JSON:
        """Return a page of the clients; the same for all who ask for the same until there is something new."""
        key = repr(sorted(asked.items()))
        if key not in self._pages:
            self._pages[key] = self._client.page(task=self._task, **asked)
        return self._pages[key]

    def _one(self, name: str) -> JSON | None:
        if name not in self._ones:
            try:
                self._ones[name] = self._client.client(name, self._task)
            except ServerRefused as error:
                if error.status not in (404, 405):
                    raise
                self._ones[name] = self._snapshot.clients.get(name)  # of a release before 0.2, which knows no such address
        return self._ones[name]

    def _round(self, number: int) -> JSON | None:
        if number not in self._older:
            try:
                found = self._client.round(number)
            except ServerRefused as error:
                if error.status != 404:
                    raise
                found = {}
            mine = found.get("task", self._snapshot.task) == self._snapshot.task
            self._older[number] = found if found and mine else None
        return self._older[number]

    def _rounds(self, old: dict[int, JSON], clients: bool = True) -> dict[int, JSON]:
        """Fetch the rounds from the last that was over on, to see whether the server still knows that one."""
        rounds = {number: entry for number, entry in old.items() if entry["state"] != "running"}
        last = max(rounds, default=0)
        new = {entry["round"]: entry for entry in self._client.rounds(max(0, last - 1), MAX_ROUNDS, self._task, clients)}
        if last and last not in new:
            raise _ForgottenError
        rounds |= new
        return {number: rounds[number] for number in sorted(rounds)[-MAX_ROUNDS:]}

    def _readings(self, old: Readings, clients: dict[str, JSON]) -> Readings:
        """Fetch what is new since the slowest connected client; a channel that is new, or was away, brings its own past."""
        ends = series.last_times(old)
        live = {client: end for client, end in ends.items() if clients.get(client, {}).get("connected")}
        if not live:
            return series.merge({}, series.parse(self._client.readings(limit=self._history)), self._history)
        slowest = min(live, key=lambda client: live[client])
        since = math.nextafter(live[slowest], -math.inf)
        fetched = series.parse(self._client.readings(since=since, limit=self._history))
        if not any(channel.t.size for channel in fetched.get(slowest, {}).values()):
            raise _ForgottenError
        for client, channels in list(fetched.items()):
            known = old.get(client, {})
            back = client not in live and any(channel.t.size for channel in channels.values())
            if channels.keys() - known.keys() or back:
                fetched |= series.parse(self._client.readings(client=client, limit=self._history))
        return series.merge(old, fetched, self._history)

    def _marks(self, old: Snapshot, new: Snapshot) -> dict[str, str]:
        parts: dict[str, tuple[Any, Any]] = {
            "status": ((old.down, old.status), (new.down, new.status)),
            "task": ((old.private, old.manifest), (new.private, new.manifest)),
            "clients": ((old.clients, old.never_seen, old.summary), (new.clients, new.never_seen, new.summary)),
            "rounds": (old.rounds, new.rounds),
            "readings": (id(old.readings), id(new.readings)),
            "order": (old.order, new.order),
        }
        marks = dict(old.changed)
        for part, (before, after) in parts.items():
            if part not in marks or before != after:
                self._mark += 1
                marks[part] = f"{self._name}-{self._mark}"
        return marks


class _ForgottenError(Exception):
    """The server no longer knows what it told before: it was reset, or it is another one."""
