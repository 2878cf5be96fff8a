"""The activity task: which of seven exercises an arm does, from two seconds of a watch's acceleration and rotation."""

from __future__ import annotations

from typing import Any

import numpy as np

from bramble_protocol.graph import Metric
from bramble_protocol.interface import Input, Target, Value
from bramble_protocol.kinds import LABEL, Kind
from bramble_protocol.messages import Channel, TrainConfig
from bramble_server.tasks.base import Task, Tensor

AXES = tuple(f"{kind}_{axis}" for kind in ("acceleration", "rotation") for axis in "xyz")
CLASSES = ("pendulum", "abduction", "forward elevation", "internal rotation", "external rotation", "trapezius extension", "upright row")
LARGE = (9.80665,) * 3 + (100.0,) * 3
"""What an arm does briskly, in m/s² and °/s: the model's one."""
BOUND = 8.0
"""8 g and 800 °/s: the model sees no more."""
LEAK = 0.1
"""Slope of a hidden unit below zero."""


class Activity(Task):
    """Which exercise is done, from 100 readings of six axes at 50 Hz; the label button says which it is."""

    name = "activity"
    description = "Which of seven exercises an arm does, from two seconds of acceleration and rotation at 50 Hz"
    channels = (*(Channel(key, "m/s²" if key.startswith("a") else "°/s") for key in AXES), Channel(LABEL, ""))
    window, stride, step_s = 100, 50, 0.02
    target, horizon = LABEL, 0
    inputs = (Input("motion", (100, 6), "float32", AXES),)
    targets = (Target(LABEL, (), "int32", LABEL, (0,)),)
    outputs = (Value("probability", (len(CLASSES),), "float32"),)
    kind = Kind("classify", CLASSES)
    metric = Metric("error rate", "", "none", f"a guess: {len(CLASSES) - 1} of {len(CLASSES)} are wrong")
    # of 0.05 to 0.8 the largest with which neither a fleet nor one place loses its way; tried on people 1, 4, 7 and 10
    config = TrainConfig(epochs=1, batch_size=16, learning_rate=0.4)

    def model(self) -> Any:
        """Two convolutions with pooling, and two dense layers: 8,471 weights."""
        from keras import Input as Motion  # type: ignore[import-not-found, unused-ignore]
        from keras import Model, layers, ops

        motion = Motion((self.window, len(AXES)), name="motion")
        hidden = ops.clip(layers.Rescaling([1 / large for large in LARGE])(motion), -BOUND, BOUND)
        for filters, pool in ((16, 4), (32, 5)):
            hidden = layers.LeakyReLU(LEAK)(layers.Conv1D(filters, 5, padding="same")(hidden))
            hidden = layers.MaxPooling1D(pool)(hidden)
        hidden = layers.LeakyReLU(LEAK)(layers.Dense(32)(layers.Flatten()(hidden)))
        return Model({"motion": motion}, layers.Dense(len(CLASSES))(hidden))

    def forecast(self, x: dict[str, Tensor], output: Tensor) -> dict[str, Tensor]:
        """Return each class's probability."""
        from keras import ops  # type: ignore[import-not-found, unused-ignore]

        return {"probability": ops.softmax(output)}

    def loss(self, x: dict[str, Tensor], y: dict[str, Tensor], output: Tensor) -> Tensor:
        """Cross entropy."""
        from keras import ops

        above = output - ops.max(output, axis=-1, keepdims=True)
        return ops.log(ops.sum(ops.exp(above), axis=-1)) - ops.sum(above * _chosen(y[LABEL]), axis=-1)

    def error(self, y: dict[str, Tensor], forecast: dict[str, Tensor]) -> Tensor:
        """1 where the most probable class is another than the true one."""
        from keras import ops

        probability = forecast["probability"]
        true = ops.sum(probability * _chosen(y[LABEL]), axis=-1)
        return ops.cast(true < ops.max(probability, axis=-1), "float32")

    def baseline(self, x: dict[str, Tensor], y: dict[str, Tensor]) -> Tensor:
        """The part of wrong guesses, whatever the class."""
        from keras import ops

        return 0 * ops.cast(y[LABEL], "float32") + (len(CLASSES) - 1) / len(CLASSES)


def _chosen(label: Tensor) -> Tensor:
    """Return 1 at each row's class and 0 elsewhere, shape (N, classes)."""
    from keras import ops

    far = ops.abs(ops.cast(label, "float32")[:, None] - np.arange(len(CLASSES), dtype=np.float32))
    return ops.cast(far < 0.5, "float32")
