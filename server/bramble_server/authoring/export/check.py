"""Does a converted graph compute what TensorFlow computes? That it converts and runs says little: a runtime may return wrong numbers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.interface import SGD, Value
from bramble_server.authoring.export.gradients import ExportError, tf
from bramble_server.authoring.export.program import BETA_1, BETA_2, EPSILON, Program

TOLERANCE = 1e-3
"""Largest difference, as a part of the largest value or step; float32 leaves 1e-6 or so."""
ROWS = 12
Arrays = dict[str, NDArray[Any]]


def check(flatbuffer: bytes, program: Program) -> None:
    """Compare forecasts, doubts, and two steps of a local run with all that a step may have, on random windows with padding.

    Raises
    ------
    ExportError
        If they differ from what TensorFlow's own automatic differentiation gives.
    """
    with warnings.catch_warnings():
        # it moves to a package of its own one day, and says so
        warnings.simplefilter("ignore", UserWarning)
        interpreter = tf.lite.Interpreter(model_content=flatbuffer)
    rng = np.random.default_rng(0)
    x = {part.name: _random(part, rng) for part in program.interface.inputs}
    y = {part.name: _random(part, rng) for part in program.interface.targets}
    minibatches = {"idx": rng.permutation(ROWS).reshape(2, 6).astype(np.int32), "sw": np.ones((2, 6), np.float32)}
    minibatches["sw"][1, 4:] = 0
    if program.interface.draws:
        minibatches["draws"] = rng.random((2, 6, program.interface.draws)).astype(np.float32)
    # away from the initial weights, where a layer may be all zeros and hide the gradients behind it
    w = _named("w", [tensor + rng.normal(0, 0.1, tensor.shape) for tensor in program.layout.split(program.initial())])
    state = _named("s", list(program.interface.state.split(program.state())))
    kept: Arrays = {}
    for kind in ("anchor", "correction", *program.interface.slots):
        drawn = [rng.normal(0, 0.1, tensor.shape) for tensor in w.values()]
        # what is a mean of squares is not below zero, and three steps were done
        kept |= _named(kind, [{"square": tensor * tensor, "steps": np.full_like(tensor, 3)}.get(kind, tensor) for tensor in drawn])
    default, there = program.task.clip_norm, interpreter.get_signature_list()

    _compare(
        "infer",
        interpreter.get_signature_runner("infer")(**x, **w, **state),
        _finite(program, "infer", program.infer({**x, **w, **state})),
        {},
    )
    if "doubt" in there:
        _compare("doubt", interpreter.get_signature_runner("doubt")(**x, **y), program.doubt({**x, **y}), {})
    settings: dict[str, Any] = {"lr": np.float32(1e-4), "mu": np.float32(0.1)}
    runs: list[tuple[str, dict[str, Any], Arrays]] = [("fit", settings, w)]
    for clip in (default / 7, default, 1e6):
        more = {**settings, "momentum": np.float32(0.9), "clip": np.float32(clip)}
        runs.append(("descend", more, {**w, **kept, **state}))
    for name, told, model in runs:
        if name in there:
            given = {**x, **y, **minibatches, **told, **model}
            found = interpreter.get_signature_runner(name)(**given)
            usual = {f"anchor{i}": tensor for i, tensor in enumerate(w.values())}
            expected = descend(program, {**usual, "momentum": 0.0, "clip": default, **given})
            _compare(name, {key: found[key] for key in found if key != "loss"}, _finite(program, name, expected), model)


def descend(program: Program, given: dict[str, Any]) -> dict[str, Any]:
    """Do what ``descend`` and ``fit`` do with TensorFlow's own automatic differentiation, one step after the other."""
    count, windows = len(program.layout.tensors), [part.name for part in (*program.interface.inputs, *program.interface.targets)]
    w = [tf.constant(given[f"w{i}"]) for i in range(count)]
    slots = program.interface.slots
    anchor, correction = ([given.get(f"{kind}{i}", 0.0) for i in range(count)] for kind in ("anchor", "correction"))
    kept = {slot: [given.get(f"{slot}{i}", 0.0) for i in range(count)] for slot in slots}
    state = [given[f"s{i}"] for i in range(len(program.interface.state.tensors))]
    for step, (rows, mask) in enumerate(zip(given["idx"], given["sw"], strict=True)):
        batch = {name: tf.constant(given[name][rows]) for name in windows}
        batch |= {"draws": tf.constant(given["draws"][step])} if "draws" in given else {}
        with tf.GradientTape() as tape:
            tape.watch(w)
            output, state = program.output(batch, w, state, training=True)
            x, y = program._part(batch, program.interface.inputs), program._part(batch, program.interface.targets)
            loss = tf.reduce_sum(program.task.loss(x, y, output) * mask) / tf.reduce_sum(mask)
        slopes, _ = tf.clip_by_global_norm(tape.gradient(loss, w), given["clip"])
        pulled = [g + given["mu"] * (a - b) + c for g, a, b, c in zip(slopes, w, anchor, correction, strict=True)]
        if slots == SGD:
            kept["velocity"] = [given["momentum"] * old + slope for old, slope in zip(kept["velocity"], pulled, strict=True)]
            w = [a - given["lr"] * slope for a, slope in zip(w, kept["velocity"], strict=True)]
        else:
            w, kept = _adam(w, pulled, kept, given["lr"])
    named = {**_named("w", w), **_named("s", state)}
    for slot in slots:
        named |= _named(slot, kept[slot])
    return {f"next_{name}": tensor for name, tensor in named.items()}


def _adam(w: list[Any], slopes: list[Any], kept: dict[str, list[Any]], rate: float) -> tuple[list[Any], dict[str, list[Any]]]:
    """Take one step as Kingma and Ba (2015) write it in algorithm 1, tensor by tensor."""
    steps = [old + 1.0 for old in kept["steps"]]
    mean = [BETA_1 * old + (1 - BETA_1) * slope for old, slope in zip(kept["mean"], slopes, strict=True)]
    square = [BETA_2 * old + (1 - BETA_2) * slope**2 for old, slope in zip(kept["square"], slopes, strict=True)]
    moved = [
        a - rate * (m / (1 - BETA_1**t)) / ((s / (1 - BETA_2**t)) ** 0.5 + EPSILON)
        for a, m, s, t in zip(w, mean, square, steps, strict=True)
    ]
    return moved, {"mean": mean, "square": square, "steps": steps}


def _finite(program: Program, name: str, expected: dict[str, Any]) -> dict[str, Any]:
    """Return what TensorFlow computes, and refuse a model of which it makes what is no number."""
    weights = {f"next_w{i}": tensor.name for i, tensor in enumerate(program.layout.tensors)}
    for key, value in expected.items():
        if not np.isfinite(value).all():
            when = "after two steps on" if key in weights else "for"
            raise ExportError(
                f"{name}: {weights.get(key, key)} is NaN or infinite {when} windows of numbers around 0, such as a broken sensor gives; "
                "scale and clip what goes in, and bound what a logarithm, a root or a division is given"
            )
    return expected


def _random(part: Value, rng: np.random.Generator) -> NDArray[Any]:
    shape = (ROWS, *part.shape)
    return (rng.normal(0, 10, shape) if part.dtype == "float32" else rng.integers(0, 2, shape)).astype(part.dtype)


def _named(kind: str, tensors: Sequence[Any]) -> Arrays:
    return {f"{kind}{i}": np.asarray(tensor, np.float32) for i, tensor in enumerate(tensors)}


def _compare(name: str, got: Arrays, expected: dict[str, Any], origin: Arrays) -> None:
    """Compare results by name, each kind of them by how far its largest lies from where it began, or from zero."""
    for kind in sorted({key.rstrip("0123456789") for key in got}):
        keys = [key for key in got if key.rstrip("0123456789") == kind]
        scale = max(float(np.abs(expected[key] - origin.get(key.removeprefix("next_"), np.float32(0))).max()) for key in keys)
        worst = max(float(np.abs(got[key] - expected[key]).max()) for key in keys)
        # written so that a NaN anywhere fails too
        if not worst <= TOLERANCE * scale + 1e-7:
            raise ExportError(
                f"{name}: the converted graph differs from TensorFlow by {worst:.3g} where values move by {scale:.3g}; "
                "some operation in the model does not convert faithfully, replace it"
            )
