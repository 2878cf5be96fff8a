"""The local store of samples: a ring in SQLite, oldest out first, that a killed process leaves whole."""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bramble_client.acquire.database import Database, damaged
from bramble_client.acquire.salvage import Table
from bramble_client.machine import disk
from bramble_protocol import fields
from bramble_protocol.clock import Clock
from bramble_protocol.fields import YEAR_3000

log = logging.getLogger(__name__)

Sample = tuple[float, Mapping[str, float | None]]
"""A time in seconds since 1970-01-01 UTC, and each channel's reading in its unit; ``None`` for one that failed."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (t REAL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS labels (t REAL PRIMARY KEY, label TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
TESTED_UNTIL = "tested_until"
"""First word of the names under which is kept up to what time each task's forecasts were tested, in seconds since 1970-01-01 UTC."""
_HELD = 10_000
"""Samples held in memory while the disk takes none; at one a minute, a week."""


class Recorder:
    """Keeps samples, a person's labels and a few named values. Any thread may call any method.

    Parameters
    ----------
    path
        The database file, one row a sample and one column a channel.
    cap
        Samples to keep, and labels; the oldest by time make room for new ones.
    commit_every
        Seconds for which samples may gather in memory before they are committed together. A killed process or a power cut
        loses at most that much; each commit flushes the disk once.
    clock
        Says when that is, and up to when samples in a damaged file may be dated.
    """

    def __init__(self, path: Path, cap: int, commit_every: float = 10.0, clock: Clock = time) -> None:
        self._path = path
        self._cap = cap
        self._commit_every, self._clock = commit_every, clock
        self._lock = threading.RLock()
        self._columns: set[str] = set()
        self._rows = 0
        self._named: dict[str, str | None] = {}
        """Named values that the disk does not have yet."""
        self._labels: list[tuple[float, str]] = []
        """Labels that the disk does not have yet."""
        self._pending: list[Sample] = []
        self._committed_at = self._clock.monotonic() - commit_every
        self.appended: Callable[[], None] = lambda: None
        """Called when samples were added; must not block."""
        self.heard: Callable[[Mapping[str, float | None]], None] = lambda values: None
        """Called with the newest of the samples that were added; must not block."""
        self.trouble: str | None = None
        """Why the disk takes nothing, in the words of ``disk``, or None while it does."""
        self._db = Database(path, _SCHEMA, _tables(clock), flushed=True, began=self._look, clock=clock)

    def _look(self, db: sqlite3.Connection) -> None:
        """Find out what a file holds."""
        self._columns = {row[1] for row in db.execute("PRAGMA table_info(samples)")} - {"t"}
        self._rows = db.execute("SELECT count(*) FROM samples").fetchone()[0]

    def append(self, t: float, values: Mapping[str, float | None]) -> None:
        """Add one sample, or complete the one at the same time; it is committed together with its neighbours."""
        with self._lock:
            self._pending.append(_checked(t, values))
            if self._clock.monotonic() - self._committed_at >= self._commit_every or len(self._pending) >= 1000:
                self._commit()
        self.heard(values)
        self.appended()

    def append_many(self, samples: Iterable[Sample]) -> None:
        """Add samples and commit them at once, all or none."""
        with self._lock:
            before = len(self._pending)
            self._pending += [_checked(t, values) for t, values in samples]
            newest = self._pending[-1][1] if len(self._pending) > before else {}
            self._commit()
        self.heard(newest)
        self.appended()

    def columns(self, keys: Sequence[str], since: float | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return samples in order of time.

        Parameters
        ----------
        keys
            The channels wanted; one that was never recorded is all NaN.
        since
            Only samples at this time or later, in seconds since 1970-01-01 UTC.

        Returns
        -------
        t
            Shape (n,): when each sample was taken, strictly increasing.
        values
            Shape (n, len(keys)), in the channels' units; NaN where a reading is missing.
        """
        with self._lock:
            self._commit()
            waiting = [*self._pending]
        try:
            # a connection of its own: the sampler is not kept waiting while a long history is read
            with closing(sqlite3.connect(self._path, isolation_level=None, timeout=10)) as reader:
                table = self._table(reader, keys, since)
        except (sqlite3.Error, ValueError, TypeError) as error:
            with self._lock:
                if not isinstance(error, sqlite3.Error):  # a cell that is no number any more
                    error = sqlite3.DatabaseError(f"a reading is damaged: {error}")
                if damaged(error):
                    self._db.replace(error)
                table = self._table(self._db.connection, keys, since)
        if waiting:  # the disk takes nothing; what it does not have is trained on all the same
            table = _completed(table, waiting, keys, since)
        return table[:, 0].copy(), table[:, 1:].copy()

    def _table(self, db: sqlite3.Connection, keys: Sequence[str], since: float | None) -> NDArray[np.float64]:
        # SQLite has no NaN; infinity is never stored, so it can stand for a missing value until numpy has the rows
        picked = [f'ifnull("{key}", 9e999)' if key in self._columns else "9e999" for key in keys]
        rows = db.execute(
            f"SELECT {', '.join(['t', *picked])} FROM samples WHERE t >= ? ORDER BY t", (-math.inf if since is None else since,)
        )
        table: NDArray[np.float64] = np.fromiter(rows, np.dtype((np.float64, 1 + len(keys))))
        values = table[:, 1:]
        values[np.isinf(values)] = np.nan
        return table

    def label(self, t: float, label: str) -> None:
        """Note what a person says is being measured from a time on, in seconds since 1970-01-01 UTC."""
        with self._lock:
            self._labels.append((t, label))
            self._commit()

    def labels(self) -> list[tuple[float, str]]:
        """Return the labels in order of time; each holds until the next."""
        with self._lock:
            stored = self._db.run(lambda db: db.execute("SELECT t, label FROM labels ORDER BY t").fetchall())
            return sorted({**dict(stored), **dict(self._labels)}.items())

    def clear(self) -> None:
        """Forget every sample and label; named values stay."""
        with self._lock:
            self._pending.clear()
            self._labels.clear()
            self._db.run(lambda db: (db.execute("DELETE FROM labels"), db.execute("DELETE FROM samples")))
            self._rows = 0

    def span(self) -> tuple[int, float, float] | None:
        """Return how many samples there are, and the times of the first and the last, in seconds since 1970-01-01 UTC."""
        with self._lock:
            count, first, last = self._db.run(lambda db: db.execute("SELECT count(*), min(t), max(t) FROM samples").fetchone())
        return (count, first, last) if count else None

    def tested_until(self, name: str = TESTED_UNTIL) -> float | None:
        """Return up to when samples were tested, in seconds since 1970-01-01 UTC; never more than there are: a clock may have run ahead."""
        with self._lock:
            said, newest = self.get(name), self.newest()
        try:
            return None if said is None else min(float(said), math.inf if newest is None else newest)
        except ValueError:  # a damaged page's
            return None

    def newest(self) -> float | None:
        """Return when the newest sample was taken, in seconds since 1970-01-01 UTC; None where there is none."""
        with self._lock:
            stored: float | None = self._db.run(lambda db: db.execute("SELECT max(t) FROM samples").fetchone()[0])
            return max((t for t in (stored, *(t for t, _ in self._pending)) if t is not None), default=None)

    def forget_from(self, t: float) -> int:
        """Forget samples and labels of a time or later, and that any of them was tested; return how many samples there were."""
        with self._lock:
            self._commit()
            self._db.run(lambda db: db.execute("DELETE FROM labels WHERE t >= ?", (t,)))
            count: int = self._db.run(lambda db: db.execute("DELETE FROM samples WHERE t >= ?", (t,)).rowcount)
            self._rows = max(0, self._rows - count)
            stored = self._db.run(lambda db: db.execute("SELECT name, value FROM meta").fetchall())
            before = repr(math.nextafter(t, -math.inf))
            ahead = [name for name, value in stored if name.split(" ")[0] == TESTED_UNTIL and value is not None and float(value) >= t]
            self.update(dict.fromkeys(ahead, before))
        return count

    def get(self, name: str) -> str | None:
        """Return a named value, or ``None``."""
        with self._lock:
            if name in self._named:
                return self._named[name]
            row = self._db.run(lambda db: db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone())
        return None if row is None else str(row[0])

    def set(self, name: str, value: str | None) -> None:
        """Keep a named value; ``None`` forgets it."""
        self.update({name: value})

    def update(self, values: Mapping[str, str | None]) -> None:
        """Keep named values, all or none of them; ``None`` forgets one."""
        with self._lock:
            self._named |= values
            self._commit()

    def close(self) -> None:
        """Commit what is pending and close the file."""
        with self._lock:
            self._commit()
            if self._pending:
                log.error("%d samples that %s did not take are lost", len(self._pending), self._path)
            self._db.close()

    def _commit(self) -> None:
        """Write what is pending; what the disk does not take waits in memory, which is said once."""
        if not (self._pending or self._labels or self._named):
            return
        try:
            rows = self._db.run(self._transact)
        except sqlite3.Error as error:
            if self.trouble is None:
                log.error("%s takes nothing (%s); samples wait in memory until it does", self._path, disk.remedy(self._path.parent, error))
            self.trouble = disk.state(self._path.parent, error) or "failing"
            del self._pending[:-_HELD]
            with suppress(sqlite3.Error):
                self._look(self._db.connection)
            return
        if self.trouble is not None:
            log.warning("%s takes samples again", self._path)
        self.trouble = None
        self._committed_at = self._clock.monotonic()
        self._rows = rows
        self._pending.clear()
        self._labels.clear()
        self._named.clear()

    def _transact(self, db: sqlite3.Connection) -> int:
        """Write everything in one transaction; return how many samples there are."""
        db.execute("BEGIN IMMEDIATE")
        try:
            self._write(db)
            rows = self._trim(db, self._rows + len(self._pending))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # SQLite itself rolls back some failures, a full disk among them
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            raise
        return rows

    def _write(self, db: sqlite3.Connection) -> None:
        for key in sorted({key for _, values in self._pending for key in values} - self._columns):
            db.execute(f'ALTER TABLE samples ADD COLUMN "{key}" REAL')
            self._columns.add(key)
        groups: dict[tuple[str, ...], list[list[float | None]]] = {}
        for t, values in self._pending:
            groups.setdefault(tuple(values), []).append([t, *values.values()])
        for keys, rows in groups.items():
            names = ", ".join(["t", *(f'"{key}"' for key in keys)])
            marks = ", ".join("?" * (1 + len(keys)))
            update = ", ".join(f'"{key}" = excluded."{key}"' for key in keys)
            conflict = f"DO UPDATE SET {update}" if keys else "DO NOTHING"
            db.executemany(f"INSERT INTO samples ({names}) VALUES ({marks}) ON CONFLICT (t) {conflict}", rows)
        if self._labels:
            db.executemany("INSERT OR REPLACE INTO labels VALUES (?, ?)", self._labels)
            db.execute("DELETE FROM labels WHERE t <= (SELECT t FROM labels ORDER BY t DESC LIMIT 1 OFFSET ?)", (self._cap,))
        for name, value in self._named.items():
            if value is None:
                db.execute("DELETE FROM meta WHERE name = ?", (name,))
            else:
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _trim(self, db: sqlite3.Connection, rows: int) -> int:
        """Drop the oldest beyond the cap; return how many there are, at most (one that completed another counts twice)."""
        if rows <= self._cap:
            return rows
        rows = db.execute("SELECT count(*) FROM samples").fetchone()[0]
        if rows <= self._cap:
            return rows
        # a little more than needed, so that a full ring is not trimmed at every commit
        drop = rows - self._cap + self._cap // 50
        db.execute("DELETE FROM samples WHERE t < (SELECT t FROM samples ORDER BY t LIMIT 1 OFFSET ?)", (drop,))
        return rows - drop


def to_the_minute(t: float) -> str:
    """Return a sample's time as the log says it, in UTC."""
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M")


def _tables(clock: Clock) -> tuple[Table, ...]:
    """Return what is saved of a damaged file."""
    return (
        Table(
            "samples",
            "t",
            lambda row: all(value is None or isinstance(value, float | int) for value in row.values()) and 0 <= row["t"] < YEAR_3000,
            top=clock.time,
        ),
        Table("labels", "t", lambda row: isinstance(row["label"], str), top=clock.time),
        Table("meta", "name", lambda row: row["value"] is None or isinstance(row["value"], str), numbered=False),
    )


def _checked(t: float, values: Mapping[str, float | None]) -> Sample:
    if not math.isfinite(t):
        raise ValueError(f"t: expected a finite time, got {t}")
    for key in values:
        if not fields.CHANNEL_KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no channel key")
    return float(t), {key: value if value is not None and math.isfinite(value) else None for key, value in values.items()}


def _completed(table: NDArray[np.float64], samples: Iterable[Sample], keys: Sequence[str], since: float | None) -> NDArray[np.float64]:
    """Return rows of a time and values with samples added, or completed, that are not among them."""
    rows = {row[0]: row for row in table.tolist()}
    for t, values in samples:
        if since is None or t >= since:
            row = rows.setdefault(t, [t, *[math.nan] * len(keys)])
            row[1:] = [(math.nan if values[key] is None else values[key]) if key in values else row[i] for i, key in enumerate(keys, 1)]
    return np.array([rows[t] for t in sorted(rows)]).reshape(-1, 1 + len(keys))
