"""``bramble task check``: a task of one's own, exported and run beside Keras."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from bramble import terminal
from bramble_client.learn.fitting import arguments
from bramble_client.learn.runtime import RUNTIMES, Runtime, RuntimeMissing
from bramble_protocol import BrambleError
from bramble_protocol.graph import GraphFile

if TYPE_CHECKING:
    from bramble_server.tasks import Task, Terms

ROWS, BATCH, STEPS = 40, 8, 20
RATE = 1e-2
TOLERANCE = 1e-3
"""Largest difference, as a part of the largest step; float32 leaves 1e-6 or so."""


def check(path: Path, as_json: bool = False) -> None:
    """Build a task's model, export it, and run it on every runtime that is installed; print what came of it.

    Raises
    ------
    BrambleError
        Naming what cannot be exported or comes out otherwise than Keras has it, and the remedy.
    """
    task = declared(path)
    from bramble_server.authoring.export import export

    if not as_json:
        typer.echo(f"{task.name}: {task.description}")
    said = {}
    for what, text in _findings(task, export(task)):
        said[what] = text
        if not as_json:
            typer.echo(f"  {what:22}{text}")  # at once, for a runtime takes its time
    terminal.tell(as_json, {"task": task.name, "description": task.description, "findings": said})


def _findings(task: Task, graph: GraphFile) -> Iterator[tuple[str, str]]:
    manifest = graph.manifest
    channels = ", ".join(f"{channel.key} ({channel.unit})" for channel in manifest.channels)
    yield "takes", f"{channels} in {manifest.window} bins of {manifest.step_s:g} s; {manifest.kind.name}, {manifest.horizon} bins ahead"
    tensors, state = len(manifest.layout.tensors), manifest.interface.state.size
    yield "model", f"{manifest.layout.size} weights in {tensors} tensors, {state} numbers of state"
    yield "graph", f"{len(graph.data) / 1000:.0f} kB; release 0.1 can {'learn it, too' if manifest.former else 'not learn it'}"
    yield "exports", "as TensorFlow computes it, in TensorFlow's own interpreter"
    for package in RUNTIMES:
        yield _on(package, task, graph)


def declared(path: Path, terms: Terms | None = None) -> Task:
    """Return the task that a file declares.

    Raises
    ------
    BrambleError
        If it declares none, or TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it speaks of GPUs and of passes of its converter
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        import tensorflow  # noqa: F401

        from bramble_server.authoring import own
    except ModuleNotFoundError as error:
        raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[authoring]'") from error
    return own.read(path, terms)


def _on(package: str, task: Task, graph: GraphFile) -> tuple[str, str]:
    try:
        runtime = Runtime(graph.flatbuffer, package=package)
    except RuntimeMissing:
        return package, "not installed here"
    name = f"{package} {importlib.metadata.version(package.replace('_', '-'))}"
    worst, at = 0.0, 0
    for step, difference in enumerate(steps(task, graph, runtime), 1):
        if not difference <= TOLERANCE:
            raise BrambleError(
                f"{task.name}: in {name} step {step} differs from Keras by {difference:.2g} of it; replace the layer that does"
            )
        if difference >= worst:
            worst, at = difference, step
    return name, f"{STEPS} steps one by one as Keras takes them, the largest difference {worst:.1g} of step {at}"


def steps(task: Task, graph: GraphFile, runtime: Runtime) -> Iterator[float]:
    """Train on made-up windows, each step from where Keras's own arrived; yield the largest difference, as a part of the step."""
    import keras

    from bramble_server.authoring.export.check import descend
    from bramble_server.authoring.export.program import Program

    keras.utils.set_random_seed(task.seed)
    program, manifest = Program(task, task.model()), graph.manifest
    face, layout, rng = manifest.interface, manifest.layout, np.random.default_rng(0)
    data: dict[str, Any] = {
        part.name: (rng.normal(0, 1, (ROWS, *part.shape)) if part.dtype == "float32" else rng.integers(0, 2, (ROWS, *part.shape)))
        for part in (*face.inputs, *face.targets)
    }
    data = {part.name: data[part.name].astype(part.dtype) for part in (*face.inputs, *face.targets)}
    state = arguments(face.state, graph.state, "s")
    weights = arguments(layout, graph.initial)
    kept: dict[str, Any] = {}
    for slot in face.slots:
        kept |= arguments(layout, np.zeros(layout.size, np.float32), slot)
    still = arguments(layout, np.zeros(layout.size, np.float32), "correction") | arguments(layout, graph.initial, "anchor")
    settings = {"lr": RATE, "mu": 0.01, "momentum": 0.5, "clip": face.clip_norm}
    told = {name: np.float32(value) for name, value in settings.items()}
    for _ in range(STEPS):
        rows = {"idx": rng.integers(0, ROWS, (1, BATCH)).astype(np.int32), "sw": np.ones((1, BATCH), np.float32)}
        rows |= {"draws": rng.random((1, BATCH, face.draws)).astype(np.float32)} if face.draws else {}
        given = {**data, **rows, **told, **still, **weights, **kept, **state}
        found = runtime("descend", **given)
        expected = {name: np.asarray(tensor) for name, tensor in descend(program, given).items()}
        moved = max(float(np.abs(expected[f"next_{name}"] - tensor).max()) for name, tensor in weights.items())
        off = max(float(np.abs(found[name] - tensor).max()) for name, tensor in expected.items() if name.startswith("next_w"))
        yield off / moved if moved else off
        weights, kept, state = ({name: expected[f"next_{name}"] for name in kind} for kind in (weights, kept, state))
