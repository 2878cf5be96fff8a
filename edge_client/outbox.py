"""What must reach the server and has not yet. It outlives the process: what was put here is sent until it is answered."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_client.database import open_database

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
  event TEXT NOT NULL, note TEXT NOT NULL, body TEXT NOT NULL, weights BLOB, UNIQUE (lane, key)
);
"""
_ANSWER, _READINGS = 0, 1


@dataclass(frozen=True)
class Item:
    """One message that waits for its acknowledgement."""

    seq: int
    event: str
    payload: dict[str, Any] = field(repr=False)
    note: dict[str, Any]
    """What the client wants to remember when the answer comes; it is not sent."""


class Outbox:
    """Two lanes: the one answer to the latest round, which goes first, and mirrored readings in the order they were taken.

    Any thread may call any method.

    Parameters
    ----------
    path
        The database file.
    cap_bytes
        Room for readings; when it is used up the oldest are dropped, which is logged. (They stay in the local store.)
    """

    def __init__(self, path: Path, cap_bytes: int = 32 << 20) -> None:
        self._path = path
        self._cap = cap_bytes
        self._db = open_database(path, _SCHEMA)
        self._changed = threading.Condition()
        self._held: Item | None = None
        self._holds = 0
        self._overflowing = False

    def put_answer(self, event: str, payload: Mapping[str, Any], note: Mapping[str, Any]) -> None:
        """Put the answer to a round in place of any other: a round that a newer one followed is over.

        If the disk takes nothing, the answer is held in memory.
        """
        body, weights = _packed(payload)
        with self._changed:
            try:
                with self._db:
                    self._db.execute("BEGIN IMMEDIATE")
                    self._db.execute("DELETE FROM outbox WHERE lane = ?", (_ANSWER,))
                    self._insert(_ANSWER, "", event, body, weights, json.dumps(note))
                self._held = None
            except sqlite3.Error as error:
                log.error("%s takes nothing (%s); the answer is kept in memory until it is sent", self._path, error)
                self._holds -= 1
                self._held = Item(self._holds, event, dict(payload), dict(note))
            self._changed.notify_all()

    def put_readings(self, key: str, event: str, payload: Mapping[str, Any]) -> None:
        """Put readings at the end of their lane, in place of those with the same key."""
        body, weights = _packed(payload)
        with self._changed:
            try:
                with self._db:
                    self._db.execute("BEGIN IMMEDIATE")
                    self._db.execute("DELETE FROM outbox WHERE lane = ? AND key = ?", (_READINGS, key))
                    self._insert(_READINGS, key, event, body, weights, "{}")
                    self._make_room()
            except sqlite3.Error as error:
                log.error("%s takes nothing (%s); readings of %s are not mirrored", self._path, error, key)
            self._changed.notify_all()

    def answer(self) -> Item | None:
        """Return the answer that waits, if one does."""
        with self._changed:
            return self._held or self._first(_ANSWER)

    def next(self) -> Item | None:
        """Return what to send first, or ``None`` if nothing waits."""
        with self._changed:
            return self._held or self._first(_ANSWER) or self._first(_READINGS)

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

    def holds(self, item: Item) -> bool:
        """Return whether an item is still here."""
        with self._changed:
            if self._held is not None and self._held.seq == item.seq:
                return True
            return self._db.execute("SELECT 1 FROM outbox WHERE seq = ?", (item.seq,)).fetchone() is not None

    def remove(self, item: Item) -> None:
        """Forget an item that was answered; one that took its place stays."""
        with self._changed:
            if self._held is not None and self._held.seq == item.seq:
                self._held = None
            # AUTOINCREMENT: no seq is ever used twice
            self._db.execute("DELETE FROM outbox WHERE seq = ?", (item.seq,))

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._held = None
            self._db.execute("DELETE FROM outbox")

    def close(self) -> None:
        """Close the file."""
        with self._changed:
            self._db.close()

    def _insert(self, lane: int, key: str, event: str, body: str, weights: bytes | None, note: str) -> None:
        size = len(body) + len(weights or b"")
        values = (lane, key, size, event, note, body, weights)
        self._db.execute("INSERT INTO outbox (lane, key, size, event, note, body, weights) VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _first(self, lane: int) -> Item | None:
        query = "SELECT seq, event, body, weights, note FROM outbox WHERE lane = ? ORDER BY seq LIMIT 1"
        row = self._db.execute(query, (lane,)).fetchone()
        if row is None:
            return None
        seq, event, body, weights, note = row
        payload = json.loads(body)
        if weights is not None:
            payload["weights"] = weights
        return Item(seq, event, payload, json.loads(note))

    def _make_room(self) -> None:
        sizes = self._db.execute("SELECT seq, size FROM outbox WHERE lane = ? ORDER BY seq", (_READINGS,)).fetchall()
        used, last = sum(size for _, size in sizes), None
        for seq, size in sizes[:-1]:
            if used <= self._cap:
                break
            used, last = used - size, seq
        if last is not None:
            self._db.execute("DELETE FROM outbox WHERE lane = ? AND seq <= ?", (_READINGS, last))
            if not self._overflowing:
                log.warning("%s is full: the oldest readings that wait for the server are dropped; the local store keeps them", self._path)
        self._overflowing = last is not None


def _packed(payload: Mapping[str, Any]) -> tuple[str, bytes | None]:
    """Split a payload into JSON and the one binary field that the contract has, ``weights``."""
    weights = payload.get("weights")
    body = {key: value for key, value in payload.items() if key != "weights"}
    return json.dumps(body, separators=(",", ":")), weights
