"""What can be read of a damaged database, row by row: what lies before, behind and between its damaged pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
TRIES, LEAPS, HALVINGS = 10_000, 40, 12
"""Queries that one table may take, how often a leap over what cannot be read is doubled, and how often what it left is halved."""


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
    top
        Returns a key above all others, if one is known.
    """

    name: str
    key: str
    whole: Callable[[Row], bool]
    numbered: bool = True
    top: Callable[[], float] | None = None


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
    copy = _Copy(source, target, table, columns, saved)
    copy.walk("ASC", None)
    if saved.lost and not saved.rows:  # the first page is damaged, or one on the way to all of them
        copy.walk("DESC", None)
        if not saved.rows and table.top is not None:
            copy.walk("DESC", table.top())
    return saved


class _Copy:
    def __init__(self, source: sqlite3.Connection, target: sqlite3.Connection, table: Table, columns: Sequence[str], saved: Saved) -> None:
        self._source, self._target, self._table, self._columns, self._saved = source, target, table, columns, saved
        names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        self._insert = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})"
        self._select = f"SELECT {names} FROM {table.name} WHERE "
        self._tries = 0
        self._step: Any = 1

    def walk(self, order: str, start: Any) -> None:
        """Copy all rows in an order, from a key on; leap over what cannot be read, first a little, then ever further."""
        sign = 1 if order == "ASC" else -1
        last, leapt = start, False
        while True:
            whole, last = self._run(order, last, None, leapt)
            if whole:
                return
            reached = None
            if self._table.numbered and last is not None:
                reached = next((far for far in (last + sign * self._step * 2**k for k in range(LEAPS)) if self._readable(order, far)), None)
            if reached is None:
                self._saved.lost.append((last, None) if order == "ASC" else (None, last))
                return
            self._saved.lost.append(self._narrowed(order, last, reached))
            last, leapt = reached, True

    def _narrowed(self, order: str, unread: Any, reached: Any) -> tuple[Any, Any]:
        """Read back from where rows can be read again towards where they could not; return what remains."""
        for _ in range(HALVINGS):
            middle = (unread + reached) // 2 if isinstance(unread, int) else (unread + reached) / 2
            if self._readable(order, middle):
                self._run(order, middle, reached, leapt=True)
                reached = middle
            else:
                unread = middle
        return min(unread, reached), max(unread, reached)

    def _readable(self, order: str, start: Any) -> bool:
        """Say whether the next row can be read, or there is none."""
        if self._tries >= TRIES:
            return False
        try:
            found = self._rows(order, start, None).fetchone()
        except sqlite3.DatabaseError:
            return False
        return found is None or self._fits(found[self._columns.index(self._table.key)], start, order)

    def _rows(self, order: str, start: Any, end: Any) -> sqlite3.Cursor:
        self._tries += 1
        key = self._table.key
        signs = (">", "<=") if order == "ASC" else ("<", ">=")
        bounds = [(f'"{key}" {sign} ?', bound) for sign, bound in zip(signs, (start, end), strict=True) if bound is not None]
        query = f'{self._select}{" AND ".join(part for part, _ in bounds) or "1"} ORDER BY "{key}" {order}'
        return self._source.execute(query, [bound for _, bound in bounds])

    def _run(self, order: str, start: Any, end: Any, leapt: bool) -> tuple[bool, Any]:
        """Copy rows until one cannot be read; return whether all could, and the key of the last that could.

        The rows next to damage are left out: a page may be damaged half, and a row in the middle of that has its key still.
        """
        last, waiting = start, None
        try:
            cursor = self._rows(order, start, end)
            while (found := cursor.fetchone()) is not None:
                key = found[self._columns.index(self._table.key)]
                if not self._fits(key, last, order):
                    return False, last
                if self._table.numbered and last is not None:
                    self._step = abs(key - last)
                if waiting is not None:
                    self._keep(waiting)
                last, waiting, leapt = key, None if leapt else found, False
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR_WRITE")):
                raise
            return False, last
        if waiting is not None:
            self._keep(waiting)
        return True, last

    def _keep(self, found: Sequence[Any]) -> None:
        row = dict(zip(self._columns, found, strict=True))
        if self._table.whole(row):
            self._saved.rows += self._target.execute(self._insert, found).rowcount
        else:
            self._saved.lost.append((row[self._table.key], row[self._table.key]))

    def _fits(self, key: Any, last: Any, order: str) -> bool:
        """Say whether a key can follow the one before it."""
        if not isinstance(key, (int, float) if self._table.numbered else str):
            return False
        return last is None or bool(key > last if order == "ASC" else key < last)
