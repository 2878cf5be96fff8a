"""Does a converted graph compute what TensorFlow computes? That it converts and runs says little: a runtime may return wrong numbers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_server.authoring.export.gradients import ExportError, tf
from bramble_server.authoring.export.program import Program

TOLERANCE = 1e-3
"""Largest difference, as a part of the largest value or step; float32 leaves 1e-6 or so."""
Arrays = dict[str, NDArray[Any]]


def check(flatbuffer: bytes, program: Program) -> None:
    """Compare forecasts, doubts, and two steps of a local run with padding, clipping and a FedProx term, on random windows.

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
    x = rng.normal(0, 10, (12, program.task.window, len(program.task.channels))).astype(np.float32)
    y = rng.normal(0, 10, 12).astype(np.float32)
    idx = rng.permutation(12).reshape(2, 6).astype(np.int32)
    sw = np.ones((2, 6), np.float32)
    sw[1, 4:] = 0
    weights = list(program.layout.split(program.initial()))
    # away from the initial weights, where a layer may be all zeros and hide the gradients behind it
    weights = [tensor + rng.normal(0, 0.1, tensor.shape).astype(np.float32) for tensor in weights]
    named = {f"w{i}": tensor for i, tensor in enumerate(weights)}
    rate, mu = np.float32(1e-4), np.float32(0.1)

    infer = interpreter.get_signature_runner("infer")(x=x, **named)["y"]
    _compare("infer", [infer], [program.infer(x, *weights)["y"].numpy()], [np.zeros_like(infer)])
    default = program.task.clip_norm
    there = interpreter.get_signature_list()
    if "doubt" in there:
        doubt = interpreter.get_signature_runner("doubt")(x=x, y=y)["doubt"]
        _compare("doubt", [doubt], [program.doubt(x, y)["doubt"].numpy()], [np.zeros_like(doubt)])
    for name, clip in (("fit", {}), ("fit_clipped", {"clip": np.float32(default / 7)}), ("fit_clipped", {"clip": np.float32(1e6)})):
        if name not in there:
            continue
        fit = interpreter.get_signature_runner(name)(x=x, y=y, idx=idx, sw=sw, lr=rate, mu=mu, **clip, **named)
        trained = [fit[f"next_w{i}"] for i in range(len(weights))]
        expected = descend(program, x, y, idx, sw, float(rate), float(mu), weights, float(clip.get("clip", default)))
        _compare(name, trained, expected, weights)


def descend(
    program: Program,
    x: NDArray[Any],
    y: NDArray[Any],
    idx: NDArray[Any],
    sw: NDArray[Any],
    rate: float,
    mu: float,
    start: Sequence[NDArray[Any]],
    clip: float,
) -> list[NDArray[Any]]:
    """Do what ``fit`` does with TensorFlow's own automatic differentiation, one step after the other."""
    now = [tf.constant(tensor) for tensor in start]
    for rows, mask in zip(idx, sw, strict=True):
        with tf.GradientTape() as tape:
            tape.watch(now)
            losses = program.task.loss(x[rows], y[rows], program.output(tf.constant(x[rows]), now, training=True))
            loss = tf.reduce_sum(losses * mask) / tf.reduce_sum(mask)
        slopes = shortened(tape.gradient(loss, now), clip)
        now = [a - rate * (g + mu * (a - b)) for a, g, b in zip(now, slopes, start, strict=True)]
    return [tensor.numpy() for tensor in now]


def shortened(slopes: Sequence[Any], most: float) -> list[Any]:
    """Clip a gradient by its global norm, as TensorFlow itself does it."""
    return list(tf.clip_by_global_norm(slopes, most)[0])


def _compare(name: str, got: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]], origin: Sequence[NDArray[Any]]) -> None:
    scale = max(float(np.abs(a - b).max()) for a, b in zip(expected, origin, strict=True))
    worst = max(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True))
    # written so that a NaN anywhere fails too
    if not worst <= TOLERANCE * scale + 1e-7:
        raise ExportError(
            f"{name}: the converted graph differs from TensorFlow by {worst:.3g} where values move by {scale:.3g}; "
            "some operation in the model does not convert faithfully, replace it"
        )
