"""The anomaly task: how unlike all that a fleet has measured an hour of temperature and humidity is. Nobody labels anything."""

from __future__ import annotations

from typing import Any

from bramble_protocol.graph import Metric
from bramble_protocol.interface import Input, Value
from bramble_protocol.kinds import Kind
from bramble_protocol.messages import Channel, TrainConfig
from bramble_server.tasks.base import Task, Tensor

KEYS = ("temperature", "humidity")
CHANGES = (0.5, 2.0)
"""A brisk change of each channel within an hour, in its unit: the model's one."""
BOUND = 8.0
"""As many brisk changes: what lies beyond is as odd as that."""
STEADY = 1e-8
"""Mean square of the steps from minute to minute, in brisk changes, of a sensor that stands still; chips are never so quiet."""
USUAL, DECADES = -3.0, 1.0
"""Logarithm (10) of that of an ordinary room, and how far it is one."""
PARTS = 3
"""Parts of a window of which each has its own roughness: a sensor that stuck half an hour ago was not still before."""
ROUGH = 4.0
"""How much the roughness of a part weighs beside one of its minutes: there are twenty of these."""
INNER = 6
"""Numbers that the model keeps of a window."""


class Anomaly(Task):
    """Error of an autoencoder on 60 one-minute bins of temperature and humidity; above the fleet's threshold it is an alarm."""

    name = "anomaly"
    description = "How unlike all that was measured before an hour of temperature and humidity is"
    channels = (Channel("temperature", "°C"), Channel("humidity", "%"))
    window, stride, step_s = 60, 10, 60.0
    target, horizon = "temperature", 0
    inputs = (Input("hour", (60, 2), "float32", KEYS),)
    targets = ()
    outputs = (Value("error", (), "float32"),)
    kind = Kind("reconstruct", alarm_rate=0.001)
    metric = Metric("error", "", "none", "nothing changes: the hour is made of its mean")
    config = TrainConfig(epochs=1, batch_size=32, learning_rate=0.03)

    def model(self) -> Any:
        """Dense layers down to six numbers and back.

        They see how an hour went, not at which level: a cellar is no anomaly. How rough it was they must tell from that alone, so a sensor
        that stands still is found out: an hour that does not change was never so smooth.
        """
        from keras import Input as Hour  # type: ignore[import-not-found, unused-ignore]
        from keras import Model, layers, ops

        hour = Hour((self.window, len(KEYS)), name="hour")
        change = _changes(hour)
        went = layers.Flatten()(ops.clip(change, -BOUND, BOUND))
        hidden = went
        for units in (32, INNER, 32):
            hidden = layers.LeakyReLU(0.1)(layers.Dense(units)(hidden))
        made = layers.Dense((self.window + PARTS) * len(KEYS), kernel_initializer="zeros")(hidden)
        return Model({"hour": hour}, {"was": ops.concatenate([went, _roughness(change)], axis=-1), "made": made})

    def forecast(self, x: dict[str, Tensor], output: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return each window's error: the mean square of what was not made again, in brisk changes."""
        return {"error": _mean_square(output["was"] - output["made"])}

    def loss(self, x: dict[str, Tensor], y: dict[str, Tensor], output: dict[str, Tensor]) -> Tensor:
        """The error."""
        return _mean_square(output["was"] - output["made"])

    def error(self, y: dict[str, Tensor], forecast: dict[str, Tensor]) -> Tensor:
        """The error."""
        return forecast["error"]

    def baseline(self, x: dict[str, Tensor], y: dict[str, Tensor]) -> Tensor:
        """The error of a model that makes every hour of its mean, and as rough as usual."""
        from keras import ops

        change = _changes(x["hour"])
        went = ops.reshape(ops.clip(change, -BOUND, BOUND), (-1, self.window * len(KEYS)))
        return _mean_square(ops.concatenate([went, _roughness(change)], axis=-1))


def _changes(hour: Tensor) -> Tensor:
    """Return how far each bin is from the hour's mean, in brisk changes, shape (N, 60, 2)."""
    from keras import ops

    scale = ops.convert_to_tensor([[[1 / step for step in CHANGES]]], "float32")
    return (hour - ops.mean(hour, axis=1, keepdims=True)) * scale


def _roughness(change: Tensor) -> Tensor:
    """Return how rough each channel is in each part of the hour, 0 being usual, shape (N, 6)."""
    from keras import ops

    length = change.shape[1] // PARTS
    parts = [change[:, start : start + length, :] for start in range(0, change.shape[1], length)]
    steps = ops.concatenate([ops.mean((part[:, 1:, :] - part[:, :-1, :]) ** 2, axis=1) for part in parts], axis=-1)
    return ROUGH * (ops.log(steps + STEADY) / 2.302585 - USUAL) / DECADES


def _mean_square(parts: Tensor) -> Tensor:
    from keras import ops

    return ops.mean(parts**2, axis=-1)
