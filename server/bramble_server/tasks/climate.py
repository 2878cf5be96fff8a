"""The climate task: forecast a site's temperature a few hours ahead from its last day."""

from __future__ import annotations

from typing import Any

import numpy as np

from bramble_protocol.graph import Metric
from bramble_protocol.messages import Channel, TrainConfig
from bramble_server.tasks.base import Task, Tensor

TEMPERATURE = 0
RANGES = ((-60.0, 85.0), (0.0, 100.0), (300.0, 1100.0))
"""The channel table's plausible range of each channel: what can be true anywhere, so that normalising pools nobody's data."""
CHANGES = (5.0, 20.0, 5.0)
"""A large change of each channel within hours, in its unit: what the model calls one."""
CHANGE = CHANGES[TEMPERATURE]
BOUND = 8.0
"""As many large changes are no weather: 40 °C or 40 hPa between now and any hour of a day. The model sees none beyond."""
ROUGH = 1.1
"""Mean square of the steps between hours, as a part of a day's variance: air that goes up comes down slowly (a daily wave has 0.07),
and noise has 2 (von Neumann 1941)."""
SMOOTH = (1.0, 0.0, 1.0)
"""Which channels are judged by it; a bathroom's humidity does leap."""
CALM = 0.2
"""A variance, in large changes squared, up to which a day may be as rough as it likes: doors and ovens."""
LEAK = 0.1
"""Slope of a hidden unit below zero."""
OUTSIDE = 1.05
"""How far from the middle of its range a channel may be, half a range being 1; the rest is for rounding."""


class Climate(Task):
    """Temperature ``horizon`` hours ahead, from 24 hourly means of temperature, humidity and pressure; or with bins of another length."""

    name = "climate"
    channels = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))
    window, step_s = 24, 3600.0
    target = "temperature"
    # chosen on the last but one tenth of five recordings' years: the last is the benchmark's, and nobody tunes on it
    config = TrainConfig(epochs=1, batch_size=32, learning_rate=0.03)

    def __init__(self, horizon: int = 3, step_s: float | None = None, window: int | None = None) -> None:
        self.horizon, self.step_s, self.window = horizon, step_s or self.step_s, window or self.window
        ahead, past = _time(horizon * self.step_s), _time(self.window * self.step_s)
        self.description = f"Temperature {ahead} ahead, from the last {past} of temperature, humidity and pressure"
        self.metric = Metric("RMSE", "°C", "sqrt", f"persistence: in {ahead} it will be as now")

    def model(self) -> Any:
        """A small MLP that sees the day as it went relative to now, and where now lies in each channel's range.

        Both are bounded, so that no reading is an input that explodes. Units leak, so that one which a bad round pushed below zero
        for every input still learns its way back; a plain ReLU's gradient there is zero for good.
        """
        import keras  # type: ignore[import-not-found, unused-ignore]

        day = keras.Input((self.window, len(self.channels)))
        now = day[:, -1, :]
        scale = [2 / (high - low) for low, high in RANGES]
        scaled = keras.layers.Rescaling(scale, [-(high + low) / (high - low) for low, high in RANGES])(now)
        change = keras.layers.Rescaling([1 / step for step in CHANGES])(day[:, :-1, :] - day[:, -1:, :])
        bounded = keras.ops.clip(keras.layers.Flatten()(change), -BOUND, BOUND)
        hidden = keras.layers.Concatenate()([bounded, keras.ops.clip(scaled, -OUTSIDE, OUTSIDE)])
        for name, units in (("hidden1", 32), ("hidden2", 16)):
            hidden = keras.layers.LeakyReLU(LEAK)(keras.layers.Dense(units, name=name)(hidden))
        # an untrained model forecasts no change: round 1 starts from the baseline, not from noise
        change = keras.layers.Dense(1, kernel_initializer="zeros", name="change")(hidden)
        return keras.Model(day, change)

    def forecast(self, x: Tensor, output: Tensor) -> Tensor:
        """Add the change to the temperature that is now, in °C."""
        return x[:, -1, TEMPERATURE] + CHANGE * output

    def loss(self, x: Tensor, y: Tensor, output: Tensor) -> Tensor:
        """Squared error of the scaled change, bounded as the model's inputs are."""
        from keras import ops  # type: ignore[import-not-found, unused-ignore]

        return (ops.clip((y - x[:, -1, TEMPERATURE]) / CHANGE, -BOUND, BOUND) - output) ** 2

    def doubt(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the largest part of a bound: on scaled changes, on levels, and on how rough a day's temperature and pressure are."""
        from keras import ops

        middle, half = np.mean(RANGES, 1, dtype=np.float32), np.diff(RANGES)[:, 0].astype(np.float32) / 2
        scaled = x / np.asarray(CHANGES, np.float32)
        steps = ops.mean((scaled[:, 1:, :] - scaled[:, :-1, :]) ** 2, 1)
        variance = ops.mean((scaled - ops.mean(scaled, 1, keepdims=True)) ** 2, 1)
        rough = steps / (ROUGH * ops.maximum(variance, CALM)) * np.asarray(SMOOTH, np.float32)
        parts = (
            ops.max(ops.abs(scaled - scaled[:, -1:, :]), (1, 2)) / BOUND,
            ops.max(ops.abs((x - middle) / (OUTSIDE * half)), (1, 2)),
            ops.max(rough, 1),
            ops.abs(y - x[:, -1, TEMPERATURE]) / (BOUND * CHANGE),
        )
        return ops.max(ops.stack(parts), 0)

    def error(self, y: Tensor, forecast: Tensor) -> Tensor:
        """Squared error in °C²."""
        return (forecast - y) ** 2

    def baseline(self, x: Tensor, y: Tensor) -> Tensor:
        """Squared error in °C² of the forecast that nothing changes."""
        return (x[:, -1, TEMPERATURE] - y) ** 2


def _time(seconds: float) -> str:
    size, unit = next((each for each in ((3600, "hours"), (60, "minutes")) if not seconds % each[0]), (1, "seconds"))
    return f"{seconds / size:g} {unit}"
