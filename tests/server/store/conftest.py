"""One contract for every database: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from bramble_server.store import Store, migrate
from tests.server.database import migrated

Migrations = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bramble.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def target(request: pytest.FixtureRequest, path: Path) -> Path | str:
    """Where an empty database is."""
    if request.param == "sqlite":
        return path
    return str(request.getfixturevalue("postgresql").url)


@pytest.fixture
def reopen(target: Path | str) -> Iterator[Callable[[], Store]]:
    """Open the same database as often as one likes, one after the other."""
    opened: list[Store] = []

    def again() -> Store:
        if opened:
            opened.pop().close()
        opened.append(Store(target))
        return opened[-1]

    yield again
    if opened:
        opened.pop().close()


@pytest.fixture
def store(target: Path | str, reopen: Callable[[], Store]) -> Store:
    if isinstance(target, Path):
        migrated(target.parent)
    return reopen()


@pytest.fixture
def released(target: Path | str) -> Callable[[], None]:
    """Put what release 0.1 left into the empty database, written by that release itself."""

    def restore() -> None:
        if isinstance(target, Path):
            with closing(sqlite3.connect(target)) as database:
                database.executescript(Path(__file__).with_name("release-0.1.sql").read_text("utf-8"))
            return
        engine = create_engine(target)
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute(Path(__file__).with_name("release-0.1-postgresql.sql").read_text("utf-8"))
            connection.commit()
        engine.dispose()

    return restore


@pytest.fixture
def migrations(tmp_path: Path) -> Migrations:
    """Copy the migrations up to a version, and add others that follow, each the body of an ``upgrade``."""

    def copy(*following: str, until: int | None = None) -> Path:
        until = migrate.newest() if until is None else until
        folder = tmp_path / f"migrations-{until}-{len(following)}"
        shutil.copytree(migrate.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (folder / "versions").glob("*.py"):
            if int(file.name[:4]) > until:
                file.unlink()
        for number, body in enumerate(following, until + 1):
            text = f'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{number:04}"\ndown_revision = "{number - 1:04}"\n'
            (folder / "versions" / f"{number:04}_test.py").write_text(f"{text}\n\ndef upgrade():\n    {body}\n")
        return folder

    return copy
