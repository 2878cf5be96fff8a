"""Killed between any two statements, an upgrade leaves the old database or the new one, and the next start finishes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import create_engine, text

from bramble_server.store import Store, migrate
from tests.server.postgres import Cluster
from tests.server.store.conftest import Migrations
from tests.server.store.contents import Contents, contents, lost
from tests.waiting import wait_for

# For each number that it reads a child of its own opens the database, and kills itself before that statement.
OPENER = """
import os, signal, sys
from pathlib import Path
from alembic import autogenerate, command, config
from sqlalchemy import Engine, event
from bramble_server.store import Store, migrate

target = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
migrate.MIGRATIONS = Path(sys.argv[2])

def open_and_die(left):
    def one(*_):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", one)
    event.listen(Engine, "commit", one)
    Store(target)

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            open_and_die(int(line))
        finally:
            os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
ANEW = 'with op.batch_alter_table("rounds") as batch: batch.alter_column("started", nullable=True)'  # SQLite copies the table for that


def left_alone(target: Path | str) -> bool:
    """Whether nobody has the database open: PostgreSQL needs a moment to see that a process is dead."""
    if isinstance(target, Path):
        return True
    engine = create_engine(target)
    with engine.connect() as connection:
        others = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
        count = connection.scalar(others)
    engine.dispose()
    return bool(count == 0)


@pytest.mark.slow
def test_it_is_never_left_half_done(
    target: Path | str,
    released: Callable[[], None],
    migrations: Migrations,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(migrate, "MIGRATIONS", folder := migrations(ANEW))

    def restore() -> None:
        if isinstance(target, Path):
            for suffix in ("", "-wal", "-shm"):
                target.with_name(target.name + suffix).unlink(missing_ok=True)
        else:
            cast(Cluster, request.getfixturevalue("postgresql")).empty()
        released()

    restore()
    old = contents(target)
    Store(target).close()
    new = contents(target)
    assert lost(old, new) == []
    seen: list[Contents] = []
    command = [sys.executable, "-c", OPENER, str(target), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as opener:
        assert opener.stdin
        assert opener.stdout
        killed = True
        while killed:
            restore()
            print(len(seen), file=opener.stdin)
            killed = int(opener.stdout.readline()) != 0
            wait_for(lambda: left_alone(target), "its connections to be gone")
            seen.append(contents(target))
            assert seen[-1] in (old, new), f"before statement {len(seen)}"
            Store(target).close()
            assert contents(target) == new
        opener.stdin.close()
    assert len(seen) > 20
    assert seen[-1] == new
