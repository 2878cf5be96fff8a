"""Handwritten digits as a task: the 2NN of McMahan et al. 2017, an image being a window of 784 bins and its digit the target."""

from __future__ import annotations

from typing import Any

import numpy as np

from bramble_protocol.graph import Metric
from bramble_protocol.interface import Input, Target, Value
from bramble_protocol.messages import Channel, TrainConfig
from bramble_server.tasks.base import Task, Tensor

PIXELS, UNITS, DIGITS = 784, 200, 10


class Digits(Task):
    """Which digit an image shows: two hidden layers of 200 units, 199,210 weights."""

    name = "digits"
    description = "Which digit an image of 28 x 28 pixels shows"
    channels = (Channel("pixel", ""), Channel("digit", ""))
    window, step_s, target, horizon = PIXELS, 1.0, "digit", 0
    inputs = (Input("image", (PIXELS, 1), "float32", ("pixel",)),)
    targets = (Target("digit", (), "float32", "digit", (0,)),)
    outputs = (Value("digit", (), "float32"),)
    metric = Metric("error rate", "", "none", "always a nought")
    config = TrainConfig(epochs=5, batch_size=10, learning_rate=0.1)
    clip_norm = 1e6  # the paper clips nothing

    def model(self) -> Any:
        """Pixels from 0 to 1 in, a logit for each digit out."""
        from keras import Input as Image  # type: ignore[import-not-found, unused-ignore]
        from keras import Model, layers

        image = Image((PIXELS, 1), name="image")
        hidden = layers.Flatten()(image)
        for _ in range(2):
            hidden = layers.Dense(UNITS, activation="relu")(hidden)
        return Model({"image": image}, layers.Dense(DIGITS)(hidden))

    def forecast(self, x: dict[str, Tensor], output: Tensor) -> dict[str, Tensor]:
        """Name the digit with the largest logit."""
        import tensorflow as tf  # type: ignore[import-not-found, import-untyped, unused-ignore]

        # that of Keras tells 0 from -0 by operations that TensorFlow Lite does not have
        return {"digit": tf.cast(tf.argmax(output, axis=-1), tf.float32)}

    def loss(self, x: dict[str, Tensor], y: dict[str, Tensor], output: Tensor) -> Tensor:
        """Cross entropy."""
        from keras import ops  # type: ignore[import-not-found, unused-ignore]

        chosen = 1 - _differ(y["digit"][:, None], np.arange(DIGITS, dtype=np.float32))
        above = output - ops.max(output, axis=-1, keepdims=True)
        return ops.log(ops.sum(ops.exp(above), axis=-1)) - ops.sum(above * chosen, axis=-1)

    def error(self, y: dict[str, Tensor], forecast: dict[str, Tensor]) -> Tensor:
        """1 for a wrong digit."""
        return _differ(forecast["digit"], y["digit"])

    def baseline(self, x: dict[str, Tensor], y: dict[str, Tensor]) -> Tensor:
        """1 for all digits but a nought."""
        return _differ(0 * y["digit"], y["digit"])


def _differ(a: Tensor, b: Tensor) -> Tensor:
    from keras import ops

    return ops.cast(ops.abs(a - b) > 0.5, "float32")


def write(path: str) -> None:
    """Export the graph; TensorFlow is needed for that."""
    from pathlib import Path

    from bramble_server.authoring.export import export

    Path(path).write_bytes(export(Digits()).data)
