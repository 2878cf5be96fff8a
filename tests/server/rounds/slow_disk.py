"""The server on a disk whose every sync takes 20 ms, and which notes them: ``SYNCS=file python slow_disk.py <flags>``."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from bramble.cli import main
from bramble_server.fleet import registry_store

SYNC_S = 0.02
FULL = 2
"""``PRAGMA synchronous`` of a connection whose commits wait for the disk."""
syncs = Path(os.environ["SYNCS"])


def slow(sync: Callable[..., Any], name: str, waits: Callable[..., bool]) -> Callable[..., Any]:
    """Return a function that takes as long as a card does, and notes that it was called."""

    def wrapped(*arguments: Any) -> Any:
        if waits(*arguments):
            with syncs.open("a") as out:
                out.write(f"{name}\n")
            time.sleep(SYNC_S)
        return sync(*arguments)

    return wrapped


def commit_waits(_: object, connection: Any) -> bool:
    """Whether SQLite syncs its log at this commit."""
    return bool(connection.execute("PRAGMA synchronous").fetchone()[0] == FULL)


registry_store.SOON = registry_store.LATER  # who came is written seconds later, which may be in the midst of a round, and is no part of it
os.fsync = slow(os.fsync, "folder", lambda *_: True)
os.fdatasync = slow(os.fdatasync, "file", lambda *_: True)
SQLiteDialect_pysqlite.do_commit = slow(SQLiteDialect_pysqlite.do_commit, "commit", commit_waits)  # type: ignore[method-assign]
main(["server", *sys.argv[1:]])
