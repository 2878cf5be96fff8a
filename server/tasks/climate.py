"""The climate task: forecast a site's temperature a few hours ahead from its last day."""

from __future__ import annotations

from typing import Any

from protocol.graph import Metric
from protocol.messages import Channel, TrainConfig
from server.tasks.base import Task, Tensor

TEMPERATURE = 0
SPAN = (62.5, 50.0, 400.0)
"""Half the range of each channel: -40 to 85 °C, 0 to 100 %, 300 to 1100 hPa. What a sensor can measure, so no site's data is pooled."""
CENTRE = (22.5, 50.0, 700.0)
CHANGE = 5.0
"""A change of temperature within hours, in °C, that the model calls one."""


class Climate(Task):
    """Temperature ``horizon`` hours ahead, from 24 hourly means of temperature, humidity and pressure."""

    name = "climate"
    channels = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))
    window = 24
    step_s = 3600.0
    target = "temperature"
    config = TrainConfig(epochs=1, batch_size=32, learning_rate=0.05)

    def __init__(self, horizon: int = 3) -> None:
        self.horizon = horizon
        self.description = f"Temperature {horizon} hours ahead, from the last {self.window} hours of temperature, humidity and pressure"
        self.metric = Metric("RMSE", "°C", "sqrt", f"persistence: in {horizon} hours it will be as now")

    def model(self) -> Any:
        """A small MLP that sees the day as it went relative to now, and where now lies in each channel's range."""
        import keras  # type: ignore[import-not-found, unused-ignore]

        day = keras.Input((self.window, len(self.channels)))
        now = day[:, -1, :]
        scaled = keras.layers.Rescaling([1 / s for s in SPAN], [-c / s for c, s in zip(CENTRE, SPAN, strict=True)])(now)
        change = keras.layers.Rescaling([1 / CHANGE, 1 / 20.0, 1 / 5.0])(day[:, :-1, :] - day[:, -1:, :])
        hidden = keras.layers.Concatenate()([keras.layers.Flatten()(change), scaled])
        hidden = keras.layers.Dense(32, "relu", name="hidden1")(hidden)
        hidden = keras.layers.Dense(16, "relu", name="hidden2")(hidden)
        # an untrained model forecasts no change: round 1 starts from the baseline, not from noise
        change = keras.layers.Dense(1, kernel_initializer="zeros", name="change")(hidden)
        return keras.Model(day, change)

    def forecast(self, x: Tensor, output: Tensor) -> Tensor:
        """Add the change to the temperature that is now, in °C."""
        return x[:, -1, TEMPERATURE] + CHANGE * output

    def loss(self, x: Tensor, y: Tensor, output: Tensor) -> Tensor:
        """Squared error of the scaled change."""
        return ((y - x[:, -1, TEMPERATURE]) / CHANGE - output) ** 2

    def error(self, y: Tensor, forecast: Tensor) -> Tensor:
        """Squared error in °C²."""
        return (forecast - y) ** 2

    def baseline(self, x: Tensor, y: Tensor) -> Tensor:
        """Squared error in °C² of the forecast that nothing changes."""
        return (x[:, -1, TEMPERATURE] - y) ** 2
