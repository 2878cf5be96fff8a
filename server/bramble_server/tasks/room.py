"""The room task: a room's temperature, and its humidity where there is a sensor of it, a quarter of an hour ahead."""

from __future__ import annotations

from typing import Any

import numpy as np

from bramble_protocol.graph import Metric
from bramble_protocol.interface import Input, Target, Value
from bramble_protocol.messages import Channel, TrainConfig
from bramble_server.tasks.base import Task, Tensor

TEMPERATURE, HUMIDITY = 0, 1
RANGES = ((-60.0, 85.0), (0.0, 100.0), (300.0, 1100.0))
"""The channel table's plausible range of each channel: what can be true anywhere, so that normalising pools nobody's data."""
CHANGES = (0.5, 2.0, 0.5)
"""A large change of each channel within a quarter of an hour, in its unit: what the model calls one."""
BOUND = 8.0
"""As many large changes are what a window that is opened does; the model sees none beyond."""
UNTRUE = 40.0
"""As many are no room's: 20 °C, 80 % or 20 hPa within half an hour."""
SMOOTHED = 3
"""Bins that are taken together: a cheap sensor's noise is as large as a minute's change."""
LEAK = 0.1
"""Slope of a hidden unit below zero."""


class Room(Task):
    """Temperature and humidity 15 minutes ahead from the last 30 minutes; a client needs a thermometer alone."""

    name = "room"
    description = "A room's temperature, and humidity where it is measured, 15 minutes ahead, from the last 30 minutes"
    channels = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))
    optional = ("humidity", "pressure")
    window, step_s, horizon, target = 30, 60.0, 15, "temperature"
    least = 20
    inputs = (
        Input("past", (30, 3), "float32", ("temperature", "humidity", "pressure")),
        Input("there", (30, 2), "float32", ("humidity", "pressure"), mask=True),
    )
    targets = (
        Target("temperature", (), "float32", "temperature", (15,)),
        Target("humidity", (), "float32", "humidity", (15,)),
        Target("humidity_known", (), "float32", "humidity", (15,), mask=True),
    )
    outputs = (Value("temperature", (), "float32"), Value("humidity", (), "float32"))
    measured = ("temperature", "humidity")
    metric = Metric("RMSE", "°C", "sqrt", "persistence: in a quarter of an hour it will be as now")
    config = TrainConfig(epochs=5, batch_size=16, learning_rate=0.03)

    def model(self) -> Any:
        """A small MLP that sees how each channel went, in steps of three minutes and relative to now, and where now lies in its range.

        It is odd in the changes, f(-x) = -f(x): what it says of a window, less what it says of the mirrored one, by two. So it cannot learn
        that rooms get warmer, which is all that a first morning's readings say, and forecasts no change after half an hour without one.
        """
        import keras  # type: ignore[import-not-found, unused-ignore]

        past, there = (keras.Input(part.shape, name=part.name) for part in self.inputs)
        ops, now, known = keras.ops, _now(past, there), _known(there)
        change = ops.clip(known * (past - now[:, None, :]) / np.asarray(CHANGES, np.float32), -BOUND, BOUND)
        smooth = ops.mean(ops.reshape(change, (-1, self.window // SMOOTHED, SMOOTHED, len(self.channels))), 2)
        middle, half = (np.asarray(part, np.float32) for part in (np.mean(RANGES, 1), np.diff(RANGES)[:, 0] / 2))
        level = known[:, -1, :] * ops.clip((now - middle) / half, -1, 1)
        went = keras.layers.Flatten()(smooth)
        layers = [keras.layers.Dense(units, name=name) for name, units in (("hidden1", 24), ("hidden2", 12))]
        # an untrained model forecasts no change: round 1 starts from the baseline, not from noise
        last = keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros", name="change")

        def of(changes: Tensor) -> Tensor:
            hidden = ops.concatenate([changes, level, there[:, -1, :]], 1)
            for layer in layers:
                hidden = keras.layers.LeakyReLU(LEAK)(layer(hidden))
            return last(hidden)

        return keras.Model({"past": past, "there": there}, (of(went) - of(-went)) / 2)

    def forecast(self, x: dict[str, Tensor], output: Tensor) -> dict[str, Tensor]:
        """Add the changes to what is now."""
        now = _now(**x)
        return {name: now[:, i] + CHANGES[i] * output[:, i] for i, name in enumerate(self.measured)}

    def loss(self, x: dict[str, Tensor], y: dict[str, Tensor], output: Tensor) -> Tensor:
        """Squared errors of the scaled changes, bounded as the inputs are; of the humidity with weight 0 where it is not known."""
        from keras import ops  # type: ignore[import-not-found, unused-ignore]

        now = _now(**x)

        def error(i: int, name: str) -> Tensor:
            change = ops.clip((y[name] - now[:, i]) / CHANGES[i], -BOUND, BOUND)
            return (change - output[:, i]) ** 2

        return error(TEMPERATURE, "temperature") + y["humidity_known"] * error(HUMIDITY, "humidity")

    def doubt(self, x: dict[str, Tensor], y: dict[str, Tensor]) -> Tensor:
        """Return the largest part of a bound, on levels and on changes within the window and to its targets."""
        from keras import ops

        past, now, known = x["past"], _now(**x), _known(x["there"])
        middle, half = np.mean(RANGES, 1, dtype=np.float32), np.diff(RANGES)[:, 0].astype(np.float32) / 2
        untrue = UNTRUE * np.asarray(CHANGES, np.float32)
        parts = (
            ops.max(ops.abs(known * (past - now[:, None, :]) / untrue), (1, 2)),
            ops.max(ops.abs(known * (past - middle) / half), (1, 2)),
            ops.abs(y["temperature"] - now[:, TEMPERATURE]) / untrue[TEMPERATURE],
            y["humidity_known"] * ops.abs(y["humidity"] - now[:, HUMIDITY]) / untrue[HUMIDITY],
        )
        return ops.max(ops.stack(parts), 0)

    def errors(self, y: dict[str, Tensor], forecast: dict[str, Tensor]) -> dict[str, Tensor]:
        """Squared error of each, in °C² and %²."""
        return {name: (forecast[name] - y[name]) ** 2 for name in self.measured}

    def baselines(self, x: dict[str, Tensor], y: dict[str, Tensor]) -> dict[str, Tensor]:
        """Squared error of each of the forecast that nothing changes."""
        now = _now(**x)
        return {name: (now[:, i] - y[name]) ** 2 for i, name in enumerate(self.measured)}

    def error(self, y: dict[str, Tensor], forecast: dict[str, Tensor]) -> Tensor:
        """Squared error of the temperature in °C²."""
        return self.errors(y, forecast)["temperature"]

    def baseline(self, x: dict[str, Tensor], y: dict[str, Tensor]) -> Tensor:
        """Squared error in °C² of the forecast that the temperature does not change."""
        return self.baselines(x, y)["temperature"]


def _known(there: Tensor) -> Tensor:
    """Return where there is a reading of each channel, shape (N, 30, 3); of the temperature there always is."""
    from keras import ops

    return ops.concatenate([there[:, :, :1] * 0 + 1, there], 2)


def _now(past: Tensor, there: Tensor) -> Tensor:
    """Return each channel's last minute, shape (N, 3); where that has no reading the window's mean, and the range's middle without any."""
    from keras import ops

    known, middle = _known(there), np.mean(RANGES, 1, dtype=np.float32)
    many = ops.sum(known, 1)
    mean = ops.sum(known * (past - middle), 1) / ops.maximum(many, 1.0) + middle  # a symbolic tensor comes first
    return known[:, -1, :] * past[:, -1, :] + (1.0 - known[:, -1, :]) * mean
