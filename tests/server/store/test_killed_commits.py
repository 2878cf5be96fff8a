"""Killed between any two statements of a commit or a rollback, a server has a model and its strategy's memory that belong together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tests.server.office import Office
from tests.server.postgres import Cluster
from tests.server.store.killed import working
from tests.server.test_strategy_memory import FEDAVGM, after, holds, play

# Round 2, and a rollback to round 1
WORK = """
from pathlib import Path
from tests.server.office import Office
from tests.server.test_strategy_memory import FEDAVGM, play

target = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])

def work(die):
    office = Office(Path(sys.argv[2]), database=target, **FEDAVGM)
    office.join("a", "b")
    die()
    play(office, -5.0)
    office.coordinator.rollback(1)
"""
POSSIBLE = {1: (3.0,), 2: (3.0, -5.0), 3: (3.0,)}
"""Round -> what led to its model."""


@contextmanager
def opened(folder: Path, target: Path | str) -> Iterator[Office]:
    office = Office(folder, database=target, **FEDAVGM)
    try:
        office.join("a", "b")
        if (number := office.coordinator.view.running) is not None:  # it goes on with the round that it was in
            for client in office.coordinator.view.waiting_for:
                office.deliver(client, number, -5.0)
        yield office
    finally:
        office.close()


@pytest.mark.slow
def test_model_and_momentum_agree(target: Path | str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "data"
    first = b""

    def begin_anew() -> None:
        nonlocal first
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if isinstance(target, Path):
            for suffix in ("-wal", "-shm"):
                target.with_name(target.name + suffix).unlink(missing_ok=True)
            if first:
                target.write_bytes(first)
                return
        else:
            cast(Cluster, request.getfixturevalue("postgresql")).empty()
        with opened(folder, target) as office:
            play(office, 3.0)
        first = target.read_bytes() if isinstance(target, Path) else b""

    ends, statement, going = [], 0, True
    with working(WORK, target, str(folder)) as killed:
        while going:
            begin_anew()
            going = killed(statement)
            with opened(folder, target) as office:
                number = office.coordinator.view.model.round
                holds(office.store, number, after(*POSSIBLE[number]))
                np.testing.assert_allclose(office.coordinator.view.model.weights, after(*POSSIBLE[number])[0], atol=1e-5)
                holds(office.store, play(office, 7.0), after(*POSSIBLE[number], 7.0))
            ends.append(number)
            statement += 1
    assert ends == sorted(ends)
    assert set(ends) == set(POSSIBLE)
    assert len(ends) > 15
