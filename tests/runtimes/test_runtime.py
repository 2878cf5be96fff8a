"""The one interface over both runtimes: what it takes, what it refuses, and that it lives on."""

from __future__ import annotations

import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import testing

from bramble_client.learn import runtime as module
from bramble_client.learn.runtime import RUNTIMES, GraphFailed, Runtime, RuntimeMissing
from bramble_protocol.graph import GraphFile

GRAPH = GraphFile.read((Path(__file__).parents[2] / "server/bramble_server/tasks/climate.tflite").read_bytes())
WEIGHTS = {f"w{i}": tensor for i, tensor in enumerate(GRAPH.manifest.layout.split(GRAPH.initial))}
X = np.linspace(0, 50, 5 * 24 * 3, dtype=np.float32).reshape(5, 24, 3)
Y = np.ones(5, np.float32)
ONE = {"idx": np.arange(5, dtype=np.int32).reshape(1, 5), "sw": np.ones((1, 5), np.float32), "mu": 0.0}
"""One step on all five windows."""


@pytest.fixture
def runtime() -> Runtime:
    return Runtime(GRAPH.flatbuffer)


def test_it_says_which_runtime_it_found(runtime: Runtime) -> None:
    assert runtime.name in RUNTIMES


def test_the_graph_has_the_signatures_of_the_manifest(runtime: Runtime) -> None:
    w = sorted(WEIGHTS)
    assert {name: sorted(parts["inputs"]) for name, parts in runtime.signatures.items()} == {
        "infer": sorted(["x", *w]),
        "evaluate": sorted(["x", "y", "sw", *w]),
        "descend": sorted(GRAPH.manifest.interface.arguments(GRAPH.manifest.layout)),
        # exactly so: it is what clients of release 0.1 call
        "fit": sorted(["x", "y", "idx", "sw", "lr", "mu", *w]),
        "doubt": ["x", "y"],
    }


def test_the_whole_graph_file_loads_as_its_flatbuffer_does(runtime: Runtime) -> None:
    whole = Runtime(GRAPH.data)
    testing.assert_array_equal(whole("infer", x=X, **WEIGHTS)["y"], runtime("infer", x=X, **WEIGHTS)["y"])


def test_numbers_and_other_types_become_what_the_graph_takes(runtime: Runtime) -> None:
    exact = runtime("fit", x=X, y=Y, lr=np.float32(1.0), **ONE, **WEIGHTS)
    other = {"idx": [[0, 1, 2, 3, 4]], "sw": np.ones((1, 5), bool), "mu": 0}
    loose = runtime("fit", x=X[:, ::-1][:, ::-1].astype(np.float64), y=[1] * 5, lr=1, **other, **WEIGHTS)
    for name in exact:
        testing.assert_array_equal(loose[name], exact[name])


def watched_shapes(runtime: Runtime) -> list[tuple[int, ...]]:
    """Return what will be a list of the shapes that a runtime's interpreter is told."""
    told: list[tuple[int, ...]] = []

    class Interpreter:
        def __init__(self, behind: Any) -> None:
            self.behind = behind

        def ResizeInputTensor(self, index: int, shape: Any, *options: Any) -> None:
            told.append(tuple(shape))
            self.behind.ResizeInputTensor(index, shape, *options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.behind, name)

    make = runtime._interpreter.get_signature_runner

    def watched(name: str) -> Any:
        runner = make(name)
        runner._interpreter_wrapper = Interpreter(runner._interpreter_wrapper)
        return runner

    runtime._interpreter.get_signature_runner = watched
    return told


def test_no_runtime_is_told_the_shape_of_a_scalar(runtime: Runtime) -> None:
    """On aarch64 one of them does not survive it; there it is this call that would end the process."""
    told = watched_shapes(runtime)
    for rate in (0.0, 1.0):
        trained = runtime("fit", x=X, y=Y, lr=rate, **ONE, **WEIGHTS)
    assert any(np.any(trained[f"next_{name}"] != tensor) for name, tensor in WEIGHTS.items())
    assert {len(shape) for shape in told} == {1, 2, 3}


def test_a_runtime_is_told_a_shape_only_where_it_is_another_and_computes_what_one_that_is_new_computes(runtime: Runtime) -> None:
    told = watched_shapes(runtime)
    given = {count: {"x": X[:count], "y": Y[:count], "sw": Y[:count], **WEIGHTS} for count in (5, 2)}
    fresh = {count: Runtime(GRAPH.flatbuffer)("evaluate", **inputs) for count, inputs in given.items()}
    runtime("evaluate", **given[5])
    for count, shapes in ((5, []), (2, [(2, 24, 3), (2,), (2,)]), (2, []), (5, [(5, 24, 3), (5,), (5,)])):
        told.clear()
        found = runtime("evaluate", **given[count])
        assert told == shapes
        for name, expected in fresh[count].items():
            testing.assert_array_equal(found[name], expected)


REFUSED: dict[str, tuple[str, dict[str, object], str]] = {
    "unknown signature": ("learn", {}, "no signature 'learn', only descend, doubt, evaluate, fit, infer"),
    "missing argument": ("infer", {}, r"infer was called with the wrong arguments \(x\)"),
    "unknown argument": ("infer", {"x": X, "z": X}, r"wrong arguments \(z\)"),
    "short window": ("infer", {"x": X[:, :23]}, r"infer takes x of shape \[-1, 24, 3\], -1 being any size, and got \[5, 23, 3\]"),
    "one window without a batch": ("infer", {"x": X[0]}, r"got \[24, 3\]"),
    "weight of another shape": ("infer", {"x": X, "w1": np.zeros(7)}, r"takes w1 of shape \[32\]"),
    "column for a scalar": ("fit", {"x": X, "y": Y, **ONE, "lr": [0.1]}, r"takes lr of shape \[\]"),
    "fewer targets than windows": ("evaluate", {"x": X, "y": Y[:3], "sw": Y}, "evaluate failed in"),
    "row that is not there": (
        "fit",
        {"x": X, "y": Y, "idx": np.full((1, 2), 99), "sw": np.ones((1, 2)), "lr": 0.1, "mu": 0.0},
        "fit failed in",
    ),
    "row before the first": (
        "fit",
        {"x": X, "y": Y, "idx": np.full((1, 2), -1), "sw": np.ones((1, 2)), "lr": 0.1, "mu": 0.0},
        "fit failed in",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_call_is_refused_by_name_and_the_next_one_works(runtime: Runtime, name: str) -> None:
    signature, inputs, text = REFUSED[name]
    before = runtime("infer", x=X, **WEIGHTS)["y"]
    with pytest.raises(GraphFailed, match=text):
        runtime(signature, **{**WEIGHTS, **inputs})
    testing.assert_array_equal(runtime("infer", x=X, **WEIGHTS)["y"], before)


@pytest.mark.parametrize("data", [b"not a graph" * 50, b""], ids=["garbage", "empty"])
def test_bytes_that_are_no_graph_are_refused(data: bytes) -> None:
    with pytest.raises(GraphFailed, match=r"graph: .* cannot load it"):
        Runtime(data)


def test_without_a_runtime_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in RUNTIMES:
        monkeypatch.setitem(sys.modules, f"{package}.interpreter", None)
    with pytest.raises(RuntimeMissing, match=r"ai_edge_litert: .*tflite_runtime: .*install 'bramble-fl\[client\]'"):
        Runtime(GRAPH.flatbuffer)


def test_the_second_runtime_is_taken_where_the_first_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    second = types.ModuleType("tflite_runtime.interpreter")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", second)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    assert module._interpreter_module() is second


def turns_during(work: Callable[[], object]) -> int:
    """How often another thread got a turn during this call."""
    turns, done, begun = [0.0], threading.Event(), threading.Event()

    def count() -> None:
        while not done.wait(100e-6):
            turns.append(time.perf_counter())
            begun.set()

    thread = threading.Thread(target=count)
    thread.start()
    assert begun.wait(30)
    start = time.perf_counter()
    work()
    end = time.perf_counter()
    done.set()
    thread.join()
    return sum(start < turn < end for turn in turns)


def test_other_threads_run_while_the_graph_trains(runtime: Runtime) -> None:
    idx = np.tile(np.arange(5, dtype=np.int32), (20_000, 1))
    inputs = {"x": X, "y": Y, "idx": idx, "sw": np.ones(idx.shape, np.float32), "lr": 1e-6, "mu": 0.0, **WEIGHTS}
    assert turns_during(lambda: runtime("fit", **inputs)) > 10


@pytest.mark.load
def test_a_call_that_holds_the_lock_would_be_noticed() -> None:
    numbers = list(range(1_000_000, 0, -1)) * 5
    assert turns_during(numbers.sort) < 5
