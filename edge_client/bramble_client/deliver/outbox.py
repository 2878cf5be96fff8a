"""What must reach the server and has not yet. It outlives the process: what was put here is sent until it is answered."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bramble_client.acquire.database import Database
from bramble_client.acquire.salvage import Row, Table
from bramble_client.machine import disk
from bramble_protocol.clock import Clock

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
  event TEXT NOT NULL, note TEXT NOT NULL, body TEXT NOT NULL, weights BLOB, UNIQUE (lane, key)
);
"""
_ANSWER, _READINGS = 0, 1
MOST_ANSWERS = 16
"""Answers that wait at most, the newest ones: a server may name as many tasks as it likes."""


def _whole(row: Row) -> bool:
    """Say whether a row can be sent."""
    try:
        whole = isinstance(json.loads(row["body"]), dict) and isinstance(json.loads(row["note"]), dict)
    except (TypeError, ValueError):
        return False
    return whole and isinstance(row["event"], str) and isinstance(row["weights"], bytes | None)


_TABLES = (Table("outbox", "seq", _whole),)


@dataclass(frozen=True)
class Item:
    """One message that waits for its acknowledgement."""

    seq: int
    event: str
    payload: dict[str, Any] = field(repr=False)
    note: dict[str, Any]
    """What the client wants to remember when the answer comes; it is not sent."""
    task: str = ""
    """The task that an answer belongs to; empty for readings, and for an answer of a release that knew one task."""


class Outbox:
    """Two lanes: the answer to the latest round of each task, which go first, and mirrored readings in the order they were taken.

    A file of a release that knew one task has one answer, of no name; such a release sends those of all tasks.

    Any thread may call any method.

    Parameters
    ----------
    path
        The database file.
    cap_bytes
        Room for readings; when it is used up the oldest are dropped, which is logged. (They stay in the local store.)
    clock
        As a database takes it.
    """

    def __init__(self, path: Path, cap_bytes: int = 32 << 20, clock: Clock = time) -> None:
        self._path = path
        self._cap = cap_bytes
        self._top = 0
        self._sent = {_ANSWER: 0, _READINGS: 0}
        """The last number of each lane that was answered while the disk could not forget it."""
        self._db = Database(path, _SCHEMA, _TABLES, began=self._count_on, clock=clock)
        self._changed = threading.Condition()
        self._held: dict[str, Item] = {}
        """Answers by task that the disk did not take."""
        self._holds = 0
        self._overflowing = self._refusing = False

    def _count_on(self, db: sqlite3.Connection) -> None:
        """Begin a new file with a number that was never used: what is under way now must not be taken for what comes."""
        if self._top:
            db.execute("DELETE FROM sqlite_sequence")
            db.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (self._top,))

    def put_answer(self, event: str, payload: Mapping[str, Any], note: Mapping[str, Any], task: str = "") -> None:
        """Put the answer to a round in place of any other of its task: a round that a newer one followed is over.

        If the disk takes nothing, the answer is held in memory.
        """
        body, weights = _packed(payload)
        with self._changed:
            try:
                self._db.run(lambda db: self._replace(db, _ANSWER, task, event, body, weights, json.dumps(note)))
                self._held.pop(task, None)
            except sqlite3.Error as error:
                why = disk.remedy(self._path.parent, error)
                log.error("%s takes nothing (%s); the answer is kept in memory until it is sent", self._path, why)
                self._holds -= 1
                self._held[task] = Item(self._holds, event, dict(payload), dict(note), task)
            self._changed.notify_all()

    def put_readings(self, key: str, event: str, payload: Mapping[str, Any]) -> None:
        """Put readings at the end of their lane, in place of those with the same key."""
        body, weights = _packed(payload)
        with self._changed:
            try:
                self._db.run(lambda db: self._replace(db, _READINGS, key, event, body, weights, "{}"))
                self._refusing = False
            except sqlite3.Error as error:
                if not self._refusing:
                    why = disk.remedy(self._path.parent, error)
                    log.error("%s takes nothing (%s); readings are not mirrored until it does", self._path, why)
                self._refusing = True
            self._changed.notify_all()

    def answer(self, task: str | None = None) -> Item | None:
        """Return the answer that waits, if one does: the first, or the newest that may be of one task."""
        with self._changed:
            if task is None:
                return self._first_held() or self._first(_ANSWER)
            return self._held.get(task) or self._first(_ANSWER, "AND key IN (?, '') ORDER BY seq DESC", (task,))

    def next(self) -> Item | None:
        """Return what to send first, or ``None`` if nothing waits."""
        with self._changed:
            return self._first_held() or self._first(_ANSWER) or self._first(_READINGS)

    def wait(self, timeout: float) -> Item | None:
        """Return what to send first; if nothing waits, wait up to so many seconds for something, or for ``wake``."""
        with self._changed:
            item = self.next()
            if item is None:
                self._changed.wait(timeout)
                item = self.next()
            return item

    def wake(self) -> None:
        """Let ``wait`` return."""
        with self._changed:
            self._changed.notify_all()

    def settled(self, task: str, timeout: float) -> bool:
        """Wait up to so many seconds until no answer of a task waits any more; return whether none does."""
        with self._changed:
            return self._changed.wait_for(lambda: self.answer(task) is None, timeout)

    def holds(self, item: Item) -> bool:
        """Return whether an item is still here."""
        with self._changed:
            if any(held.seq == item.seq for held in self._held.values()):
                return True
            row = self._db.run(lambda db: db.execute("SELECT lane FROM outbox WHERE seq = ?", (item.seq,)).fetchone())
            return row is not None and item.seq > self._sent[row[0]]

    def remove(self, item: Item) -> None:
        """Forget an item that was answered; one that took its place stays."""
        with self._changed:
            self._held = {task: held for task, held in self._held.items() if held.seq != item.seq}
            try:
                # AUTOINCREMENT: no seq is ever used twice
                self._db.run(lambda db: db.execute("DELETE FROM outbox WHERE seq = ?", (item.seq,)))
            except sqlite3.Error:
                # sent again after a restart, and answered again as the first time
                lane = self._db.execute("SELECT lane FROM outbox WHERE seq = ?", (item.seq,)).fetchone()
                if lane is None:
                    raise
                self._sent[lane[0]] = max(self._sent[lane[0]], item.seq)
            finally:
                self._changed.notify_all()

    def clear(self, task: str | None = None) -> None:
        """Forget everything, or the answer of one task alone."""
        with self._changed:
            if task is None:
                self._held.clear()
                self._db.run(lambda db: db.execute("DELETE FROM outbox"))
            else:
                self._held.pop(task, None)
                self._db.run(lambda db: db.execute("DELETE FROM outbox WHERE lane = ? AND key = ?", (_ANSWER, task)))

    def forget_answer(self, round_number: int) -> None:
        """Forget the answer to a round, which nobody takes any more."""

        def of_the_round(db: sqlite3.Connection) -> list[tuple[int]]:
            waiting = db.execute("SELECT seq, body FROM outbox WHERE lane = ?", (_ANSWER,))
            return [(seq,) for seq, body in waiting if json.loads(body).get("round") == round_number]

        with self._changed:
            self._held = {task: held for task, held in self._held.items() if held.payload.get("round") != round_number}
            with contextlib.suppress(sqlite3.Error):  # what the disk does not forget is sent, and refused
                found = self._db.run(of_the_round)
                self._db.run(lambda db: db.executemany("DELETE FROM outbox WHERE seq = ?", found))

    def forget_from(self, t: float) -> int:
        """Forget messages that hold readings of a time or later; return how many there were."""

        def ahead(db: sqlite3.Connection) -> list[tuple[int]]:
            waiting = db.execute("SELECT seq, body FROM outbox WHERE lane = ?", (_READINGS,))
            return [(seq,) for seq, body in waiting if max(json.loads(body).get("t") or [t - 1]) >= t]

        with self._changed:
            found = self._db.run(ahead)
            self._db.run(lambda db: db.executemany("DELETE FROM outbox WHERE seq = ?", found))
        return len(found)

    def close(self) -> None:
        """Close the file."""
        with self._changed:
            self._db.close()

    def _replace(self, db: sqlite3.Connection, lane: int, key: str, event: str, body: str, weights: bytes | None, note: str) -> None:
        values = (lane, key, len(body) + len(weights or b""), event, note, body, weights)
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM outbox WHERE lane = ? AND key = ?", (lane, key))
            put = db.execute("INSERT INTO outbox (lane, key, size, event, note, body, weights) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            if lane == _READINGS:
                self._make_room(db)
            else:
                newest = "SELECT seq FROM outbox WHERE lane = ? ORDER BY seq DESC LIMIT ?"
                db.execute(f"DELETE FROM outbox WHERE lane = ? AND seq NOT IN ({newest})", (lane, lane, MOST_ANSWERS))
        self._top = max(self._top, put.lastrowid or 0)

    def _first_held(self) -> Item | None:
        return next(iter(self._held.values()), None)

    def _first(self, lane: int, which: str = "ORDER BY seq", values: tuple[str, ...] = ()) -> Item | None:
        return self._db.run(lambda db: self._read_first(db, lane, which, values))

    def _read_first(self, db: sqlite3.Connection, lane: int, which: str, values: tuple[str, ...]) -> Item | None:
        query = f"SELECT seq, event, body, weights, note, key FROM outbox WHERE lane = ? AND seq > ? {which} LIMIT 1"
        row = db.execute(query, (lane, self._sent[lane], *values)).fetchone()
        if row is None:
            return None
        seq, event, body, weights, note, key = row
        if not _whole({"event": event, "body": body, "weights": weights, "note": note}):
            raise sqlite3.DatabaseError(f"message {seq} cannot be read")
        payload = json.loads(body)
        if weights is not None:
            payload["weights"] = weights
        return Item(seq, event, payload, json.loads(note), key if lane == _ANSWER else "")

    def _make_room(self, db: sqlite3.Connection) -> None:
        sizes = db.execute("SELECT seq, size FROM outbox WHERE lane = ? ORDER BY seq", (_READINGS,)).fetchall()
        used, last = sum(size for _, size in sizes), None
        for seq, size in sizes[:-1]:
            if used <= self._cap:
                break
            used, last = used - size, seq
        if last is not None:
            db.execute("DELETE FROM outbox WHERE lane = ? AND seq <= ?", (_READINGS, last))
            if not self._overflowing:
                log.warning("%s is full: the oldest readings that wait for the server are dropped; the local store keeps them", self._path)
        self._overflowing = last is not None


def _packed(payload: Mapping[str, Any]) -> tuple[str, bytes | None]:
    """Split a payload into JSON and the one binary field that the contract has, ``weights``."""
    weights = payload.get("weights")
    body = {key: value for key, value in payload.items() if key != "weights"}
    return json.dumps(body, separators=(",", ":")), weights
