"""Killed between any two statements of a commit or a rollback, a server has a model and its strategy's memory that belong together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from bramble_server.store import models
from tests.server.learning.test_strategy_memory import play
from tests.server.office import Office
from tests.server.postgres import Cluster
from tests.server.store.killed import apart, working

OTHERS = ("fedyogi", "scaffold")
"""With a memory of two vectors, and of one that belongs to what clients keep."""

# Round 2, and a rollback to round 1
WORK = """
from pathlib import Path
from bramble_server.store import models
from tests.server.office import Office
from tests.server.learning.test_strategy_memory import play

target = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])

def work(die):
    office = Office(Path(sys.argv[2]), database=target, strategy=sys.argv[3])
    office.join("a", "b")
    die()
    play(office, -5.0)
    office.coordinator.rollback(1)
"""
POSSIBLE = {1: (3.0,), 2: (3.0, -5.0), 3: (3.0,)}
"""Round -> what led to its model."""


@contextmanager
def opened(folder: Path, target: Path | str, strategy: str) -> Iterator[Office]:
    office = Office(folder, database=target, strategy=strategy)
    try:
        office.join("a", "b")
        if (number := office.coordinator.view.tasks["small"].running) is not None:  # it goes on with the round that it was in
            for client in office.coordinator.view.tasks["small"].waiting_for:
                office.deliver(client, number, -5.0)
        yield office
    finally:
        office.close()


def held(office: Office) -> tuple[int, dict[str, Any]]:
    """Number of the newest model on the disk; its weights, and the vectors of its strategy's memory."""
    with office.store.reading() as connection:
        newest = models.latest(connection, "small")
        assert newest
        state = models.memory(connection, newest[0]).state
    return newest[0], {"weights": newest[1], **{name: array for name, array in state.items() if array.dtype == np.float32}}


def undisturbed(folder: Path, strategy: str, *values: float) -> dict[str, Any]:
    """What these rounds come to where nobody is killed."""
    folder.mkdir()
    with opened(folder, folder / "bramble.db", strategy) as office:
        play(office, *values)
        return held(office)[1]


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(found) == set(expected)
    assert len(found) > 1
    for name, vector in found.items():
        np.testing.assert_allclose(vector, expected[name], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_model_and_memory_agree(target: Path | str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    killed_anywhere("fedavgm", target, tmp_path, request)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", OTHERS)
def test_those_of_other_strategies_do(strategy: str, path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    killed_anywhere(strategy, path, tmp_path, request)


def killed_anywhere(strategy: str, target: Path | str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    led = {values: undisturbed(tmp_path / f"{len(values)} alone", strategy, *values) for values in set(POSSIBLE.values())}
    on = {values: undisturbed(tmp_path / f"{len(values)} and one", strategy, *values, 7.0) for values in led}
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
        with opened(folder, target, strategy) as office:
            play(office, 3.0)
        first = target.read_bytes() if isinstance(target, Path) else b""

    ends, statement, going = [], 0, True
    with working(WORK, target, str(folder), strategy) as killed:
        while going:
            begin_anew()
            going = killed(statement)
            with opened(folder, target, strategy) as office:
                number, found = held(office)
                same(found, led[POSSIBLE[number]])
                np.testing.assert_array_equal(office.coordinator.view.tasks["small"].model.weights, found["weights"])
                play(office, 7.0)
                same(held(office)[1], on[POSSIBLE[number]])
            ends.append(number)
            statement += apart(target)
    assert ends == sorted(ends)
    assert set(ends) == set(POSSIBLE)
    assert len(ends) * apart(target) > 15
