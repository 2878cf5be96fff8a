"""Graphs in a process of their own: whatever a graph does to it, the client gets a sentence and the next graph a new process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.learn.runner import Runner
from bramble_client.learn.runtime import RUNTIMES, GraphFailed, Runtime
from bramble_protocol.graph import GraphFile

ROOT = Path(__file__).parents[2]
GRAPH = GraphFile.read((ROOT / "server/bramble_server/tasks/climate.tflite").read_bytes())
WEIGHTS = {f"w{i}": tensor for i, tensor in enumerate(GRAPH.manifest.layout.split(GRAPH.initial))}
X = np.linspace(0, 50, 5 * 24 * 3, dtype=np.float32).reshape(5, 24, 3)
Y = np.ones(5, np.float32)
STEPS = 3_000_000
"""Minibatches that take more than half a minute."""


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    made.allow(60)
    made.load(GRAPH.sha256, GRAPH.flatbuffer)
    yield made
    made.close()


def endless(runner: Runner) -> dict[str, Any]:
    idx = np.zeros((STEPS, 1), np.int32)
    return runner("fit", x=X, y=Y, idx=idx, sw=np.ones((STEPS, 1), np.float32), lr=0.0, mu=0.0, **WEIGHTS)


def works(runner: Runner) -> bool:
    runner.allow(60)
    if not runner.holds(GRAPH.sha256):
        runner.load(GRAPH.sha256, GRAPH.flatbuffer)
    return runner("infer", x=X, **WEIGHTS)["y"].shape == (5,)


def state(pid: int) -> str:
    """A process's state letter; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def ticks(pid: int) -> int:
    """How long a process has computed, in hundredths of a second; that it is gone counts as for ever."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    except FileNotFoundError:
        return sys.maxsize


def in_the_middle(pid: int, then: Callable[[], object]) -> None:
    """Do something once a process is busy with what it is given next."""
    began = ticks(pid)
    threading.Thread(target=lambda: (wait_for(lambda: ticks(pid) > began + 20, "run"), then())).start()


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.01)


def test_it_gives_what_the_runtime_gives(runner: Runner) -> None:
    here = Runtime(GRAPH.flatbuffer)
    assert runner.runtime in RUNTIMES
    calls: dict[str, dict[str, Any]] = {
        "infer": {"x": X},
        "evaluate": {"x": X, "y": Y, "sw": Y},
        "fit": {"x": X, "y": Y, "idx": np.zeros((3, 2), np.int32), "sw": np.ones((3, 2)), "lr": 0.1, "mu": 0.0},
    }
    for signature, inputs in calls.items():
        expected, found = here(signature, **inputs, **WEIGHTS), runner(signature, **inputs, **WEIGHTS)
        assert expected.keys() == found.keys()
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
            assert (found[name].dtype, found[name].shape) == (expected[name].dtype, expected[name].shape)


def test_what_the_graph_does_not_take_is_said_as_the_runtime_says_it_and_the_process_lives_on(runner: Runner) -> None:
    before = runner.pid
    with pytest.raises(GraphFailed, match="no signature 'predict'"):
        runner("predict", x=X)
    with pytest.raises(GraphFailed, match="infer takes x of shape"):
        runner("infer", x=X[:, :5], **WEIGHTS)
    assert works(runner)
    assert runner.pid == before


def test_a_graph_that_does_not_load_is_said(runner: Runner) -> None:
    with pytest.raises(GraphFailed, match="cannot load it"):
        runner.load("0" * 64, b"no flatbuffer at all")
    assert not runner.holds("0" * 64)
    assert works(runner)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE], ids=lambda n: n.name)
def test_a_process_that_dies_in_the_middle_of_a_run_costs_that_run_alone(runner: Runner, number: signal.Signals) -> None:
    dying = runner.pid
    assert dying is not None
    in_the_middle(dying, lambda: os.kill(dying, number))
    with pytest.raises(GraphFailed, match=rf"fit ended its process \({number.name}.*\); the next round starts another"):
        endless(runner)
    assert works(runner)
    assert runner.pid != dying
    assert state(dying) == ""


def test_one_that_died_between_two_runs_is_started_again(runner: Runner) -> None:
    dying = runner.pid
    assert dying is not None
    os.kill(dying, signal.SIGKILL)
    wait_for(lambda: not runner.holds(GRAPH.sha256), "death")
    assert works(runner)


def test_a_run_without_end_is_ended_at_the_rounds(runner: Runner) -> None:
    running = runner.pid
    assert running is not None
    runner.allow(0.5)
    with pytest.raises(GraphFailed, match=r"fit did not end within the 0\.5 s of the round and was ended"):
        endless(runner)
    assert state(running) == ""
    assert works(runner)


def test_one_that_no_longer_answers_is_ended_too(runner: Runner) -> None:
    assert runner.pid is not None
    os.kill(runner.pid, signal.SIGSTOP)
    runner.allow(0.2)
    with pytest.raises(GraphFailed, match="did not end within"):
        runner("infer", x=X, **WEIGHTS)
    assert works(runner)


def test_what_wants_more_memory_than_it_may_have_is_refused() -> None:
    runner = Runner(memory_mb=128)
    try:
        assert works(runner)
        with pytest.raises(GraphFailed, match=r"more than 128 MB|ended its process"):
            runner("infer", x=np.zeros((1_000_000, 24, 3), np.float32), **WEIGHTS)
        assert works(runner)
    finally:
        runner.close()


def test_closing_it_breaks_a_run_off_and_starts_none_again(runner: Runner) -> None:
    assert runner.pid is not None
    in_the_middle(runner.pid, runner.close)
    with pytest.raises(GraphFailed, match="SIGKILL"):
        endless(runner)
    with pytest.raises(GraphFailed, match="stopping"):
        runner.load(GRAPH.sha256, GRAPH.flatbuffer)


def test_ctrl_c_and_a_services_end_reach_the_client_alone(runner: Runner) -> None:
    assert runner.pid is not None
    assert os.getpgid(runner.pid) != os.getpgid(0)
    os.kill(runner.pid, signal.SIGTERM)
    assert works(runner)


def test_nothing_secret_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BRAMBLE_TOKEN_FILE", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY"):
        monkeypatch.setenv(name, "/secret")
    runner = Runner()
    try:
        assert works(runner)
        assert b"/secret" not in Path(f"/proc/{runner.pid}/environ").read_bytes()
    finally:
        runner.close()


PARENT = """
import sys
sys.path = {path!r}
from test_runner import GRAPH, Runner, endless
runner = Runner()
runner.allow(600)
runner.load(GRAPH.sha256, GRAPH.flatbuffer)
print(runner.pid, flush=True)
endless(runner)
"""


def test_it_ends_with_a_client_that_is_killed_even_in_the_middle_of_a_run() -> None:
    code = PARENT.format(path=[str(Path(__file__).parent), *sys.path])
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())

    began = ticks(child)
    wait_for(lambda: ticks(child) > began + 20, "run")
    assert "litert" not in (maps := Path(f"/proc/{parent.pid}/maps").read_text())
    assert "tflite_runtime" not in maps, "the client itself loads no runtime"
    parent.kill()
    parent.wait()
    wait_for(lambda: state(child) in ("", "Z"), "end of the child")
