"""SQLite as the client uses it: write-ahead log, small caches, and a fresh start beside a file that is damaged."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

from protocol import BrambleError

log = logging.getLogger(__name__)


class StorageError(BrambleError):
    """A database cannot be opened; the text names the file and the remedy."""


def open_database(path: Path, schema: str, flushed: bool = False) -> sqlite3.Connection:
    """Open a database, creating it if it is missing; the caller serialises access with a lock.

    A file that is damaged, as an SD card leaves one now and then, is set aside under another name and replaced: a client
    that starts with nothing is worth more than one that does not start.

    Neither a killed process nor a power cut harms the file, and a killed process loses nothing that was committed.

    Parameters
    ----------
    path
        The file; its folder exists.
    schema
        Statements that create what is missing.
    flushed
        Whether a power cut must not cost what was committed either. Each commit then flushes the disk, which wears an SD
        card: commit seldom.

    Raises
    ------
    StorageError
        If the file cannot be opened at all.
    """
    try:
        return _open(path, schema, flushed)
    except sqlite3.OperationalError as error:
        raise StorageError(f"{path} cannot be opened ({error}); check that its folder is writable and has room") from error
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        log.error("%s is damaged (%s); it was set aside as %s and a new one started", path, error, aside.name)
        return _open(path, schema, flushed)


def _open(path: Path, schema: str, flushed: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if flushed else 'NORMAL'}")
        connection.execute("PRAGMA cache_size=-1024")
        connection.execute("PRAGMA journal_size_limit=4194304")
        connection.executescript(schema)
    except BaseException:
        connection.close()
        raise
    return connection
