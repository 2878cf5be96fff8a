"""Reference runs: 100 steps of gradient descent as TensorFlow does them on an ordinary Keras model, for both runtimes to reproduce.

``python -m tests.authoring.references`` writes them anew, with the graphs of the models that are not built in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bramble_server.authoring.export import export
from bramble_server.tasks.base import Task
from tests.authoring.models import REFERENCES

FOLDER = Path(__file__).parents[1] / "runtimes" / "references"
ROWS, STEPS, BATCH, RATE, MU = 40, 100, 8, 0.05, 0.02
CLIP = 0.1
"""A clip that is not the tasks' own, and shortens every step's gradient."""


def weather(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows with a daily wave, and what comes three hours after each, in °C, % and hPa."""
    rng = np.random.default_rng(seed)
    hour = rng.uniform(0, 24, (rows, 1)) + np.arange(27)
    mean, swing = rng.uniform(0, 25, (rows, 1)), rng.uniform(1, 8, (rows, 1))
    temperature = mean + swing * np.sin(hour * 2 * np.pi / 24) + rng.normal(0, 0.5, hour.shape)
    humidity = np.clip(70 - 3 * (temperature - mean) + rng.normal(0, 4, hour.shape), 5, 100)
    pressure = 1000 + np.cumsum(rng.normal(0, 0.6, hour.shape), 1)
    x = np.stack([temperature, humidity, pressure], 2)[:, :24].astype(np.float32)
    return x, temperature[:, 26].astype(np.float32)


def built(task: Task) -> Any:
    """The task's model with its initial weights."""
    keras.utils.set_random_seed(task.seed)
    return task.model()


def run(task: Task, seed: int, steps: int = STEPS) -> dict[str, np.ndarray]:
    """One reference run: inputs, and what TensorFlow makes of them step by step, padding, clipping and FedProx term included."""
    rng = np.random.default_rng(seed)
    x, y = weather(ROWS, seed)
    idx = rng.integers(0, ROWS, (steps, BATCH)).astype(np.int32)
    sw = (rng.random((steps, BATCH)) < 0.9).astype(np.float32)
    sw[:, 0] = 1
    clipped, _, _ = _descend(task, x, y, idx, sw, CLIP)
    trail, losses, model = _descend(task, x, y, idx, sw, task.clip_norm)
    output = tf.squeeze(model(x), 1)
    rows = task.loss(x, y, output), task.error(y, task.forecast(x, output)), task.baseline(x, y)
    return {
        "x": x,
        "y": y,
        "idx": idx,
        "sw": sw,
        "settings": np.array([RATE, MU, CLIP], np.float32),
        "start": trail[0],
        "first": trail[1],
        "last": trail[-1],
        "clipped": clipped[-1],
        "loss": np.float32(np.mean(losses)),
        "forecast": task.forecast(x, output).numpy(),
        "measures": np.array([np.mean(values) for values in rows], np.float32),
    }


def _descend(
    task: Task, x: np.ndarray, y: np.ndarray, idx: np.ndarray, sw: np.ndarray, clip: float
) -> tuple[list[np.ndarray], list[float], Any]:
    """Train a new model; return its weights before and after each step, each step's loss, and the model."""
    model = built(task)
    variables = model.trainable_variables
    start = [variable.numpy() for variable in variables]
    trail, losses = [_flat(variables)], []
    for rows, mask in zip(idx, sw, strict=True):
        with tf.GradientTape() as tape:
            values = task.loss(x[rows], y[rows], tf.squeeze(model(x[rows], training=True), 1))
            loss = tf.reduce_sum(values * mask) / tf.reduce_sum(mask)
        slopes, _ = tf.clip_by_global_norm(tape.gradient(loss, [v.value for v in variables]), clip)
        for variable, slope, origin in zip(variables, slopes, start, strict=True):
            variable.assign(variable - RATE * (slope + MU * (variable - origin)))
        losses.append(float(loss))
        trail.append(_flat(variables))
    return trail, losses, model


def _flat(variables: list[Any]) -> np.ndarray:
    return np.concatenate([variable.numpy().ravel() for variable in variables])


def main() -> None:
    """Write every reference run, and the graphs that are only there for them."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in REFERENCES.items():
        arrays: dict[str, Any] = run(make(), seed=1)
        np.savez_compressed(FOLDER / f"{name}.npz", **arrays)
        if name != "climate":
            (FOLDER / f"{name}.tflite").write_bytes(export(make()).data)


if __name__ == "__main__":
    main()
