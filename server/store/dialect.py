"""The only place that knows one database from another: how to open them, and how to say "insert or replace"."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from server.store.errors import StoreError

BUSY_S = 10.0
"""How long SQLite waits for somebody else's lock before it gives up."""
LOG_BYTES = 16 << 20
"""Length to which SQLite cuts its write-ahead log back."""
_LOCK_KEY = 0x6272616D626C65
"""PostgreSQL's advisory locks have numbers for names; this one spells "bramble"."""


def parse(url: str) -> URL:
    """Read a database URL.

    Raises
    ------
    StoreError
        If it is not one, or names a database that the store was not written for.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError("database: expected a URL such as sqlite:////var/lib/bramble/bramble.db") from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"database: {parsed.get_backend_name()} is not supported, expected sqlite or postgresql")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError("database: an SQLite database needs a file, one in memory would not survive the server")
    return parsed


def engine(url: URL, writer: bool) -> Engine:
    """Return an engine for the one writer or for the many readers.

    Raises
    ------
    StoreError
        If the driver is not installed.
    """
    try:
        if url.get_backend_name() == "sqlite":
            made = create_engine(url, connect_args={"timeout": BUSY_S}, hide_parameters=True)
            _tune_sqlite(made, "BEGIN IMMEDIATE" if writer else "BEGIN")
        else:
            made = create_engine(url, pool_pre_ping=True, hide_parameters=True)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"database: the driver for {url.drivername} is not installed ({error})") from error
    return made


def _tune_sqlite(made: Engine, begin: str) -> None:
    """Make commits survive a power cut, and let the driver leave transactions to us.

    With WAL and synchronous=FULL every commit reaches the disk before it returns (https://sqlite.org/wal.html). The
    writer takes its lock at once, so that it never has to be upgraded half-way. A log that one large round made long is
    cut back, for a Pi's card is small.
    """

    @event.listens_for(made, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"journal_size_limit={LOG_BYTES}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


class Claim:
    """A lock on the database for as long as the server lives, so that no two servers write one history.

    The kernel, or PostgreSQL, gives it back by itself when the process dies.

    Raises
    ------
    StoreError
        If another server holds it.
    """

    def __init__(self, url: URL, made: Engine) -> None:
        self._held = ExitStack()
        if url.get_backend_name() == "sqlite":
            self._claim_file(Path(url.database or ""))
        else:
            self._claim_postgresql(made)

    def _claim_file(self, path: Path) -> None:
        lock = path.with_name(path.name + ".lock")
        try:
            file = self._held.enter_context(lock.open("a"))
        except OSError as error:
            raise StoreError(f"database: {lock} cannot be opened ({error.strerror}): check that its folder may be written to") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise StoreError(f"database {path} is in use by another server: stop that one, or choose another --data-dir") from error

    def _claim_postgresql(self, made: Engine) -> None:
        connection = self._held.enter_context(made.connect())
        self._held.callback(connection.invalidate)  # a connection that went back to the pool would keep the lock
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}):
            self.release()
            raise StoreError("database: it is in use by another server: stop that one, or choose another database")
        connection.commit()

    def release(self) -> None:
        """Let another server have the database. A second time does nothing."""
        self._held.close()


def erase_what_is_deleted(connection: Connection) -> None:
    """Have SQLite overwrite what this connection deletes from now on; PostgreSQL leaves that to its own housekeeping."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, all with the same columns, and replace these columns where the primary key is there already."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0])), rows)


@lru_cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    # Kept, because to put the statement together takes several times as long as to run it.
    insert = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    keys = [column.name for column in table.primary_key]
    return insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in columns if name not in keys})
