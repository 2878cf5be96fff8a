"""Servers and clients for tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.server.pi import Pi
from tests.server.postgres import Cluster, programs
from tests.server.process import ServerProcess


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL; only where none is installed is it skipped, and in continuous integration never."""
    found = programs()
    if found is None:
        sentence = "PostgreSQL is not installed (Debian: apt install postgresql): the store was tried on SQLite only"
        (pytest.fail if "CI" in os.environ else pytest.skip)(sentence)
    cluster = Cluster(found)
    try:
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def postgresql(cluster: Cluster) -> Cluster:
    """The running PostgreSQL, with nothing in it: what another test left there is nobody else's."""
    cluster.empty()
    return cluster


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of a module, with long deadlines: a test ends its own rounds."""
    with ServerProcess(tmp_path_factory.mktemp("server"), "--min-clients", "1", "--deadline", "1h") as process:
        yield process


@pytest.fixture
def join(server: ServerProcess) -> Iterator[Callable[..., Pi]]:
    """Connect clients to the module's server; they leave at the end, and a round that is open then ends."""
    there: list[Pi] = []

    def connect(client: str = "pi-1", **options: Any) -> Pi:
        there.append(Pi(server.url, client, **options))
        return there[-1]

    yield connect
    for pi in there:
        pi.close()
    server.empty()
