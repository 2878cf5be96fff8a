"""Reference runs: 100 steps of gradient descent as TensorFlow does them on an ordinary Keras model, for both runtimes to reproduce.

``python -m tests.authoring.references`` writes them anew, with the graphs of the models that are not built in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bramble_protocol.interface import Input, Target
from bramble_protocol.layout import Layout
from bramble_server import tasks
from bramble_server.authoring.export import export
from bramble_server.tasks.base import Task
from tests.authoring.models import REFERENCES

FOLDER = Path(__file__).parents[1] / "runtimes" / "references"
ROWS, STEPS, BATCH, RATE, MU, MOMENTUM = 40, 100, 8, 0.05, 0.02, 0.8
CLIP = 0.1
"""A clip that is not the tasks' own, and shortens every step's gradient."""
FEW = 5
KINDS = ("activity", "anomaly", "room")
"""Built-in tasks that do more than to forecast one target."""
USUAL = {"°C": (20, 2), "%": (50, 10), "hPa": (1000, 5), "m/s²": (0, 10), "°/s": (0, 100), "": (0, 0)}
"""Where a channel of each unit lies, and how far it wanders."""
HOUR = 23
"""Of the hours that are made up, the one that is now."""
Arrays = dict[str, np.ndarray]


def weather(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows with a daily wave, and what comes three hours after each, in °C, % and hPa."""
    hours = made_up(rows, seed)
    return hours[:, : HOUR + 1], hours[:, HOUR + 3, 0]


def made_up(rows: int, seed: int) -> np.ndarray:
    """Temperature, humidity and pressure of 27 hours, shape (rows, 27, 3)."""
    rng = np.random.default_rng(seed)
    hour = rng.uniform(0, 24, (rows, 1)) + np.arange(27)
    mean, swing = rng.uniform(0, 25, (rows, 1)), rng.uniform(1, 8, (rows, 1))
    temperature = mean + swing * np.sin(hour * 2 * np.pi / 24) + rng.normal(0, 0.5, hour.shape)
    humidity = np.clip(70 - 3 * (temperature - mean) + rng.normal(0, 4, hour.shape), 5, 100)
    pressure = 1000 + np.cumsum(rng.normal(0, 0.6, hour.shape), 1)
    return np.stack([temperature, humidity, pressure], 2).astype(np.float32)


def arrays(task: Task, rows: int, seed: int) -> Arrays:
    """What goes into a task's graph and what is to come out, by name."""
    face, hours, keys = task.interface(Layout(())), made_up(rows, seed), [channel.key for channel in task.channels]
    found = {part.name: hours[:, HOUR + 1 - part.shape[0] : HOUR + 1, [keys.index(key) for key in part.channels]] for part in face.inputs}
    for part in face.targets:
        found[part.name] = hours[:, [HOUR + ahead for ahead in part.horizons], keys.index(part.channel)].reshape(rows, *part.shape)
    return found


def measured(task: Task, rows: int, seed: int) -> Arrays:
    """As ``arrays``, for a built-in task of any kind: each channel wanders about, an optional one is missing now and then."""
    rng, face, keys = np.random.default_rng(seed), task.interface(Layout(())), [channel.key for channel in task.channels]
    steps = rng.normal(0, 1, (rows, task.window + face.furthest, len(keys))) / np.sqrt(task.window)
    level, size = np.array([USUAL[channel.unit] for channel in task.channels]).T
    there = np.array([key not in task.optional for key in keys]) | (rng.random(steps.shape) < 0.8)
    values = np.where(there, level + size * np.cumsum(steps, 1), 0.0)
    if task.kind.classes:
        values[:, :, keys.index(task.target)] = rng.integers(0, len(task.kind.classes), (rows, 1))

    def taken(part: Input | Target, bins: list[int], columns: list[int]) -> np.ndarray:
        return (there if part.mask else values)[:, bins][:, :, columns].astype(part.dtype).reshape(rows, *part.shape)

    last = task.window - 1
    return {
        **{p.name: taken(p, list(range(last + 1 - p.shape[0], last + 1)), [keys.index(key) for key in p.channels]) for p in face.inputs},
        **{p.name: taken(p, [last + ahead for ahead in p.horizons], [keys.index(p.channel)]) for p in face.targets},
    }


def run_of_a_kind(task: Task, seed: int) -> Arrays:
    """A few steps with momentum, and what TensorFlow makes of the windows then."""
    rng, data = np.random.default_rng(seed), measured(task, ROWS, seed)
    idx = rng.integers(0, ROWS, (FEW, BATCH)).astype(np.int32)
    trail, _, model = _descend(task, data, idx, np.ones(idx.shape, np.float32), task.clip_norm, MOMENTUM)
    x, y, output = _seen(task, data, model)
    given = task.forecast(x, output)
    measures = [np.mean(rows) for rows in (task.loss(x, y, output), task.error(y, given), task.baseline(x, y))]
    told = {"idx": idx, "last": trail[-1], "measures": np.array(measures, np.float32)}
    return {**data, **told, **{f"given_{name}": np.asarray(value) for name, value in given.items()}}


def built(task: Task) -> Any:
    """The task's model with its initial weights."""
    keras.utils.set_random_seed(task.seed)
    return task.model()


def run(task: Task, seed: int, steps: int = STEPS) -> Arrays:
    """One reference run: inputs, and what TensorFlow makes of them step by step, padding, clipping and FedProx term included."""
    rng = np.random.default_rng(seed)
    data = arrays(task, ROWS, seed)
    idx = rng.integers(0, ROWS, (steps, BATCH)).astype(np.int32)
    sw = (rng.random((steps, BATCH)) < 0.9).astype(np.float32)
    sw[:, 0] = 1
    clipped, _, _ = _descend(task, data, idx, sw, CLIP)
    trail, losses, model = _descend(task, data, idx, sw, task.clip_norm)
    anchor, correction = (rng.normal(0, size, trail[0].shape).astype(np.float32) for size in (0.1, 0.01))
    moved, _, heavy = _descend(task, data, idx, sw, task.clip_norm, MOMENTUM, anchor, correction)
    x, y, output = _seen(task, data, model)
    forecast = task.forecast(x, output)
    rows = task.loss(x, y, output), task.error(y, forecast), task.baseline(x, y)
    told = {
        "idx": idx,
        "sw": sw,
        "settings": np.array([RATE, MU, CLIP, MOMENTUM], np.float32),
        "anchor": anchor,
        "correction": correction,
        "start": trail[0],
        "first": trail[1],
        "last": trail[-1],
        "clipped": clipped[-1],
        "moved": moved[-1],
        "state": _noted(model, task),
        "moved_state": _noted(heavy, task),
        "loss": np.float32(np.mean(losses)),
        "forecast": (forecast if not task.several else forecast[task.outputs[0].name]).numpy(),
        "measures": np.array([np.mean(values) for values in rows], np.float32),
    }
    return {**data, **told}


def _descend(
    task: Task,
    data: Arrays,
    idx: np.ndarray,
    sw: np.ndarray,
    clip: float,
    momentum: float = 0.0,
    anchor: np.ndarray | None = None,
    correction: np.ndarray | None = None,
) -> tuple[list[np.ndarray], list[float], Any]:
    """Train a new model; return its weights before and after each step, each step's loss, and the model."""
    model = built(task)
    variables = model.trainable_variables
    layout = Layout.of([(variable.path, variable.shape) for variable in variables])
    trail, losses = [_flat(variables)], []
    origins = list(layout.split(trail[0] if anchor is None else anchor))
    added = list(layout.split(np.zeros_like(trail[0]) if correction is None else correction))
    velocity = [np.zeros_like(origin) for origin in origins]
    for rows, mask in zip(idx, sw, strict=True):
        with tf.GradientTape() as tape:
            x, y, output = _seen(task, {name: values[rows] for name, values in data.items()}, model, training=True)
            loss = tf.reduce_sum(task.loss(x, y, output) * mask) / tf.reduce_sum(mask)
        slopes, _ = tf.clip_by_global_norm(tape.gradient(loss, [v.value for v in variables]), clip)
        pulled = [g + MU * (w - a) + c for w, g, a, c in zip(variables, slopes, origins, added, strict=True)]
        velocity = [momentum * v + slope for v, slope in zip(velocity, pulled, strict=True)]
        for variable, v in zip(variables, velocity, strict=True):
            variable.assign(variable - RATE * v)
        losses.append(float(loss))
        trail.append(_flat(variables))
    return trail, losses, model


def _seen(task: Task, data: Arrays, model: Any, training: bool = False) -> tuple[Any, Any, Any]:
    """Return what a task's methods call ``x``, ``y`` and ``output``."""
    face = task.interface(Layout(()))
    if not task.several:
        return data["x"], data["y"], tf.squeeze(model(data["x"], training=training), 1)
    x, y = ({part.name: data[part.name] for part in parts} for parts in (face.inputs, face.targets))
    return x, y, model(x, training=training)


def _noted(model: Any, task: Task) -> np.ndarray:
    """What its layers changed in themselves, beside the weights, while it was trained."""
    pairs = zip(model.non_trainable_variables, built(task).non_trainable_variables, strict=True)
    return _flat([after for after, before in pairs if not np.array_equal(after, before)])


def _flat(variables: list[Any]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.float32), *(variable.numpy().ravel() for variable in variables)])


def main() -> None:
    """Write every reference run, and the graphs that are only there for them."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in REFERENCES.items():
        arrays: dict[str, Any] = run(make(), seed=1)
        np.savez_compressed(FOLDER / f"{name}.npz", **arrays)
        if name != "climate":
            (FOLDER / f"{name}.tflite").write_bytes(export(make()).data)
    for name in KINDS:
        np.savez_compressed(FOLDER / f"{name}.npz", **run_of_a_kind(tasks.create(name), seed=1))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
