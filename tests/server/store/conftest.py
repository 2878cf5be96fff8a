"""One contract for every database: SQLite, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from bramble_server.store import Store
from bramble_server.store.schema import metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bramble.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def target(request: pytest.FixtureRequest, path: Path) -> Iterator[Path | str]:
    """Where an empty database is."""
    if request.param == "sqlite":
        yield path
        return
    url: str = request.getfixturevalue("postgresql").url
    engine = create_engine(url)
    metadata.drop_all(engine)
    yield url
    metadata.drop_all(engine)
    engine.dispose()


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
def store(reopen: Callable[[], Store]) -> Store:
    return reopen()
