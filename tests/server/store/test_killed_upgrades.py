"""Killed between any two statements, an upgrade leaves the old database or the new one, and the next start finishes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from bramble_server.store import Store, migrate
from tests.server.postgres import Cluster
from tests.server.store.conftest import Migrations
from tests.server.store.contents import Contents, contents, lost
from tests.server.store.killed import apart, working

OPEN = """
from pathlib import Path
from alembic import autogenerate, command, config
from bramble_server.store import Store, migrate

target = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
migrate.MIGRATIONS = Path(sys.argv[2])

def work(die):
    die()
    Store(target)
"""
ANEW = 'with op.batch_alter_table("rounds") as batch: batch.alter_column("started", nullable=True)'  # SQLite copies the table for that


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
    with working(OPEN, target, str(folder)) as killed:
        going = True
        while going:
            restore()
            going = killed(len(seen) * apart(target))
            seen.append(contents(target))
            assert seen[-1] in (old, new), f"before statement {(len(seen) - 1) * apart(target)}"
            Store(target).close()
            assert contents(target) == new
    assert len(seen) * apart(target) > 20
    assert seen[-1] == new
