"""What can be read of a damaged database, row by row: what lies before, behind and between its damaged pages."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
TRIES = 400
"""Queries that one table may take. Each finds rows, or halves the stretch in which some may lie."""


@dataclass(frozen=True)
class Table:
    """A table whose rows are worth saving.

    Parameters
    ----------
    key
        Its first column, and the order of its rows on the disk.
    whole
        Says whether a row is as it was written: a damaged page may still be read as something.
    numbered
        Whether the key is a number, so that there is a middle between two of them.
    """

    name: str
    key: str
    whole: Callable[[Row], bool]
    numbered: bool = True


@dataclass
class Saved:
    """What became of one table."""

    rows: int = 0
    lost: list[tuple[Any, Any]] = field(default_factory=list)
    """Between which keys rows could not be read; an end that is not known is None."""


def salvage(source: sqlite3.Connection, target: sqlite3.Connection, table: Table) -> Saved:
    """Copy the rows of a table that can be read, and are whole, into the table of the same name; columns that it lacks are added.

    Raises
    ------
    sqlite3.Error
        If the target takes nothing.
    """
    saved = Saved()
    try:
        columns = [row[1] for row in source.execute(f"PRAGMA table_info({table.name})")]
    except sqlite3.Error:
        columns = []
    if table.key not in columns:
        saved.lost.append((None, None))
        return saved
    there = {row[1] for row in target.execute(f"PRAGMA table_info({table.name})")}
    for name in [name for name in columns if name not in there]:
        target.execute(f'ALTER TABLE {table.name} ADD COLUMN "{name}" REAL')
    _Copy(source, target, table, columns, saved).stretch(None, None)
    return saved


class _Copy:
    def __init__(self, source: sqlite3.Connection, target: sqlite3.Connection, table: Table, columns: Sequence[str], saved: Saved) -> None:
        self._source, self._target, self._table, self._columns, self._saved = source, target, table, columns, saved
        names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        self._insert = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})"
        self._select = f"SELECT {names} FROM {table.name} WHERE "
        self._tries = 0

    def stretch(self, low: Any, high: Any) -> None:
        """Copy the rows whose keys lie between two, each None for no bound."""
        whole, low = self._run(low, high, "ASC")
        if whole:
            return
        _, high = self._run(low, high, "DESC")
        middle = _middle(low, high) if self._table.numbered else None
        if middle is None or self._tries >= TRIES:
            self._saved.lost.append((low, high))
            return
        self.stretch(low, middle)
        self.stretch(middle, high)

    def _run(self, low: Any, high: Any, order: str) -> tuple[bool, Any]:
        """Copy rows from one end until one cannot be read; return whether all could, and the key of the last that could."""
        self._tries += 1
        key, last = self._table.key, low if order == "ASC" else high
        bounds = [f'"{key}" {sign} ?' for sign, bound in ((">", low), ("<", high)) if bound is not None]
        values = [bound for bound in (low, high) if bound is not None]
        query = f'{self._select}{" AND ".join(bounds) or "1"} ORDER BY "{key}" {order}'
        try:
            cursor = self._source.execute(query, values)
            while (found := cursor.fetchone()) is not None:
                row = dict(zip(self._columns, found, strict=True))
                if not self._fits(row[key], last, order):
                    return False, last
                if self._table.whole(row):
                    self._saved.rows += self._target.execute(self._insert, found).rowcount
                else:
                    self._saved.lost.append((row[key] if last is None else last, row[key]))
                last = row[key]
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR_WRITE")):
                raise
            return False, last
        return True, last

    def _fits(self, key: Any, last: Any, order: str) -> bool:
        """Say whether a key can follow the one before it."""
        if not isinstance(key, (int, float) if self._table.numbered else str):
            return False
        return last is None or bool(key > last if order == "ASC" else key < last)


def _middle(low: Any, high: Any) -> Any:
    """Return a key between two, or None if it would divide nothing."""
    if low is None or high is None or not math.isfinite(high - low):
        return None
    middle = (low + high) / 2 if isinstance(low, float) or isinstance(high, float) else (low + high) // 2
    return middle if low < middle < high and high - low > 1e-3 else None
