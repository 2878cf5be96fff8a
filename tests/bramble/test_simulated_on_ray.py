"""Simulations whose clients train in processes of Ray. They need Ray, which the extra ``dev`` brings (80 MB to fetch)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from bramble.simulation import on_ray
from bramble.simulation.asynchronous import simulation_of
from bramble.simulation.attacks import Attackers
from bramble.simulation.attacks.flip import Flip
from bramble.simulation.on_ray import RayWorkers
from bramble.simulation.rounds import Played
from bramble.simulation.scenario import Scenario
from bramble_client.learn.runtime import Graph
from bramble_protocol import BrambleError
from bramble_protocol.graph import GraphFile
from tests.bramble.simulated import built, shorter, simulated, stretches
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'bramble-fl[ray]'"),
]


@pytest.fixture(scope="module", autouse=True)
def _two_processors() -> Iterator[None]:
    """Start Ray once for all, as large as one of them needs it."""
    RayWorkers(built().graph, 2).close()
    yield
    sys.modules["ray"].shutdown()


def played_on_ray(clients: int, rounds: int, scenario: Scenario, attackers: Attackers | None = None, **settings: Any) -> list[Played]:
    base = built(**settings)
    with closing(RayWorkers(base.graph, 2)) as workers:
        theirs = [shorter(each) for each in stretches(clients)]
        return list(simulation_of(base)(base, theirs, scenario, 1, workers, attackers).play(rounds))


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "scaffold"},
        {"discipline": "asynchronous", "buffer": 3, "max_staleness": 4, "deadline": 500.0},
    ],
    ids=["synchronous", "asynchronous"],
)
def test_processes_of_ray_give_the_bits_that_threads_give(settings: dict[str, Any]) -> None:
    scenario, attackers = Scenario(slow=0.3, lost=0.2), Attackers(Flip(), 0.2)
    _, here = simulated(9, 3, scenario, attackers=attackers, **settings)
    assert played_on_ray(9, 3, scenario, attackers=attackers, **settings) == here
    assert any(part["samples"] for part in here[-1].parts.values())


def test_machines_that_have_another_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    here = version("bramble-fl")
    monkeypatch.setattr(on_ray, "version", lambda package: "99.0")
    with pytest.raises(BrambleError, match=f"its machines have Bramble {here} with .*, and here is 99.0; install the same on all"):
        RayWorkers(built().graph, 1)


@pytest.mark.parametrize(("named", "filed"), [(False, False), (True, False), (False, True)])
def test_a_cluster_is_shown_the_token_that_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool, filed: bool) -> None:
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    if named:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    if filed:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("secret")
    assert on_ray._known_token() == ({"RAY_AUTH_MODE": "token"} if named or filed else {})


def test_more_workers_than_processors_are_refused() -> None:
    with pytest.raises(BrambleError, match="workers: 200 are more than the 2 processors that Ray has; lower --workers"):
        RayWorkers(built().graph, 200)


def test_a_worker_that_is_lost_begins_anew_and_its_work_is_done_again() -> None:
    def process(runtime: Graph, graph: GraphFile, item: int) -> int:
        return os.getpid()

    with closing(RayWorkers(built().graph, 1)) as workers:
        (first,) = workers.map(process, [((), 0)])
        os.kill(first, signal.SIGKILL)
        (second,) = workers.map(process, [((), 0)])
        assert first != second


def test_an_error_in_work_is_that_error() -> None:
    def wrong(runtime: Graph, graph: GraphFile, item: int) -> float:
        return 1 / item

    with closing(RayWorkers(built().graph, 1)) as workers, pytest.raises(ZeroDivisionError):
        list(workers.map(wrong, [((), 0)]))


def test_what_is_shared_is_stored_once_and_only_while_it_lives() -> None:
    class Model(list[int]):
        pass

    def total(runtime: Graph, graph: GraphFile, model: Model, item: int) -> int:
        return sum(model) + item

    with closing(RayWorkers(built().graph, 1)) as workers:
        model, before = Model([1, 2]), len(workers._refs)
        assert list(workers.map(total, [((model,), item) for item in (1, 2, 3)])) == [4, 5, 6]
        assert len(workers._refs) == before + 1
        del model
        assert len(workers._refs) == before


def test_ctrl_c_ends_it_and_all_that_ray_started(tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ("--clients", "7", "--rounds", "100000", "--workers", "1", "--backend", "ray", "--out", str(out))
    with subprocess.Popen([sys.executable, "-m", "bramble", "simulate", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, b"")
        assert any(line.startswith(b"round   2") for line in lines), "it ended by itself"
        began = psutil.Process(process.pid).children(recursive=True)
        assert began
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, b"")
    assert json.loads((out / "summary.json").read_text())["stopped"] == "interrupted"
    wait_for(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in began), "the end of Ray's processes")
