"""SQLite as the client uses it: write-ahead log, small caches, and a fresh start with what can be read of a file that is damaged."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bramble_client.acquire.salvage import Saved, Table, salvage
from bramble_client.machine import disk
from bramble_protocol import BrambleError
from bramble_protocol.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")
KEEP = 3
"""Damaged files that are kept beside the one in use, the newest ones."""
VERSION = 0
"""The ``user_version`` of our files, since release 0.1. What a client from before would misread raises it; a column more does not."""
PAUSE_S = 60.0
"""Seconds after a new beginning in which no other is made: a file that is damaged again at once lies on a dying disk."""
_PASSING = (
    "SQLITE_AUTH", "SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_LOCKED", "SQLITE_MISUSE",
    "SQLITE_NOMEM", "SQLITE_PERM", "SQLITE_PROTOCOL", "SQLITE_READONLY", "SQLITE_TOOBIG",
)  # fmt: skip
"""Results (https://sqlite.org/rescode.html) that say nothing against the file. Our statements are right, so all others do."""


class StorageError(BrambleError):
    """A database cannot be opened; the text names the file and the remedy."""


class Database:
    """A database that goes on when its file turns out to be damaged, as an SD card leaves one now and then.

    The file is set aside under another name, and a new one begins with what can be read of it: a client that lost a few readings
    is worth more than one that does not start. What was lost is said in one line. The caller serialises access with a lock.

    Neither a killed process nor a power cut harms the file, and a killed process loses nothing that was committed.

    Parameters
    ----------
    path
        The file; its folder exists.
    schema
        Statements that create what is missing.
    tables
        What is saved of a damaged file.
    flushed
        Whether a power cut must not cost what was committed either. Each commit then flushes the disk, which wears an SD
        card: commit seldom.
    began
        Called with the connection to a new file, also the first time.
    clock
        Says when the file was replaced last, and names those that are set aside.

    Raises
    ------
    StorageError
        If the file cannot be opened at all, or a newer client wrote it.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        tables: Sequence[Table],
        flushed: bool = False,
        began: Callable[[sqlite3.Connection], None] = lambda connection: None,
        clock: Clock = time,
    ) -> None:
        self._path, self._schema, self._tables, self._flushed, self._began = path, schema, tables, flushed, began
        self._clock = clock
        self._replaced_at = -PAUSE_S
        self._connection: sqlite3.Connection | None = None
        try:
            try:
                self._connection = _open(path, schema, flushed)
                _look_through(self._connection)
            except sqlite3.DatabaseError as error:
                if not damaged(error):
                    raise
                self.replace(error)
            began(self.connection)
        except (sqlite3.Error, OSError) as error:
            self.close()
            why = disk.remedy(path.parent, error) if disk.state(path.parent, error) else f"{error}; check that its folder is writable"
            raise StorageError(f"{path} cannot be opened ({why})") from error

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection to the file in use."""
        if self._connection is None:
            raise sqlite3.ProgrammingError(f"{self._path} is closed")
        return self._connection

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what some work on the database returns; where it meets damage it is done again on the new file.

        Raises
        ------
        sqlite3.Error
            If the disk takes or gives nothing.
        """
        try:
            return work(self.connection)
        except sqlite3.DatabaseError as error:
            if not damaged(error):
                raise
            self.replace(error)
            return work(self.connection)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement as it is."""
        return self.connection.execute(statement, values)

    def replace(self, error: sqlite3.Error) -> None:
        """Set the file aside and begin a new one with what can be read of it.

        Raises
        ------
        sqlite3.Error
            The one given, if that cannot be done: the disk takes nothing, or the file in use is hardly a minute old.
        """
        if self._clock.monotonic() - self._replaced_at < PAUSE_S:
            raise error
        aside = set_aside(self._path, "damaged", self._clock)
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            _remove(fresh)
            saved = self._save(fresh)
            with contextlib.suppress(sqlite3.Error):
                self.close()
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    self._path.with_name(self._path.name + suffix).rename(aside.with_name(aside.name + suffix))
            fresh.rename(self._path)
            self._connection = _open(self._path, self._schema, self._flushed)
        except (sqlite3.Error, OSError) as failure:
            with contextlib.suppress(OSError):
                _remove(fresh)
            raise error from failure
        self._replaced_at = self._clock.monotonic()
        log.error(
            "%s is damaged (%s): it was set aside as %s, and a new one goes on with what could be read of it: %s",
            self._path, error, aside.name, ", ".join(_told(table.name, saved[table.name]) for table in self._tables),
        )  # fmt: skip
        for old in sorted(self._path.parent.glob(f"{self._path.name}.damaged-*[0-9]"))[:-KEEP]:
            _remove(old)
        self._began(self._connection)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _save(self, fresh: Path) -> dict[str, Saved]:
        target = _open(fresh, self._schema, flushed=True)
        try:
            with contextlib.closing(sqlite3.connect(self._path, isolation_level=None, timeout=10)) as source:
                target.execute("BEGIN")
                saved = {table.name: salvage(source, target, table) for table in self._tables}
                target.execute("COMMIT")
        finally:
            target.close()
        return saved


def set_aside(path: Path, why: str, clock: Clock) -> Path:
    """Return the name under which a file stays beside the one that takes its place; those of one kind sort by their time."""
    now = clock.time()
    return path.with_name(f"{path.name}.{why}-{time.strftime('%Y%m%dT%H%M%S', time.localtime(now))}-{int(now % 1 * 10**9):09d}")


def damaged(error: sqlite3.Error) -> bool:
    """Say whether an error is the file's, so that it helps to begin a new one; a full disk is not."""
    if isinstance(error, sqlite3.ProgrammingError):  # of a closed connection, for instance
        return False
    name = getattr(error, "sqlite_errorname", "")  # none for a text that cannot be decoded
    return name.startswith(("SQLITE_IOERR_READ", "SQLITE_IOERR_CORRUPTFS")) or not name.startswith(_PASSING)


def verdict(path: Path) -> str | None:
    """Return what is wrong with a database, or None; it is only read, whoever uses it meanwhile.

    Raises
    ------
    sqlite3.OperationalError
        If it cannot be read at all.
    StorageError
        If a newer client wrote it.
    """
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            _refuse_newer(connection, path)
            _look_through(connection)
        except sqlite3.DatabaseError as error:
            if not damaged(error):
                raise
            return str(error)
    return None


def _open(path: Path, schema: str, flushed: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        _refuse_newer(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if flushed else 'NORMAL'}")
        connection.execute("PRAGMA cache_size=-1024")
        connection.execute("PRAGMA journal_size_limit=4194304")
        connection.executescript(schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Leave alone what a newer client wrote, rather than take for damage what is not understood."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StorageError(
            f"{path} is of version {version}, and this client knows versions up to {VERSION}: install the newer Bramble that wrote it, "
            "or move the file away"
        )


def _look_through(connection: sqlite3.Connection) -> None:
    """Read every page; raise for one that is damaged, now rather than in the middle of a round."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        error = sqlite3.DatabaseError(str(found).replace("\n", " "))
        error.sqlite_errorname = "SQLITE_CORRUPT"
        raise error


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _told(name: str, saved: Saved) -> str:
    return f"{saved.rows:,} {name}{_where(saved.lost)}"


def _where(lost: list[tuple[Any, Any]]) -> str:
    keys = [key for pair in lost for key in pair if key is not None]
    if not keys:
        return " (others are lost)" if lost else ""
    if isinstance(keys[0], str):
        return f" (those after {max(keys)} are lost)"
    return (
        f" (some are lost, from {_moment(min(keys))} on)"
        if any(None in pair for pair in lost)
        else f" (some between {_moment(min(keys))} and {_moment(max(keys))} are lost)"
    )


def _moment(key: float) -> str:
    """Return a key as people read it: keys that are no whole numbers are times."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(key)) if isinstance(key, float) else f"number {key}"
