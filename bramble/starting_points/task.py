"""The task my-task: temperature in an hour, from the last half day."""

# Change it to what your fleet should learn, then: bramble task check my_task.py

from __future__ import annotations

from typing import Any

from bramble_protocol.graph import Metric
from bramble_protocol.messages import Channel, TrainConfig
from bramble_server.tasks import Task

# What one calls a large change within hours, in the channel's unit: the model sees such as 1. Take what is known beforehand, never a
# mean over what somebody measured.
CHANGES = (5.0, 20.0)
BOUND = 8.0  # as many large changes are none: what a broken sensor gives


class MyTask(Task):
    """Temperature ``horizon`` bins ahead."""

    name = "my-task"
    # What goes in, by key and unit (bramble sensors lists them). A channel of your own is declared in the sensors file.
    channels = (Channel("temperature", "°C"), Channel("humidity", "%"))
    # A window is so many bins of so many seconds; each has one mean reading of each channel.
    window = 12
    step_s = 3600.0
    target = "temperature"
    # A local run, unless the server is told otherwise.
    config = TrainConfig(epochs=1, batch_size=32, learning_rate=0.03)

    def __init__(self, horizon: int = 1) -> None:
        self.horizon = horizon  # bins behind the window's last
        self.description = f"Temperature {horizon} hours ahead, from the last {self.window} hours"
        # "sqrt": error() gives squares, whose root is taken once they are pooled over all clients; "none": it gives the error itself.
        self.metric = Metric("RMSE", "°C", "sqrt", "persistence: it will be as now")

    def model(self) -> Any:
        """Build the Keras model: raw windows of shape (window, channels) in, one number out."""
        from keras import Input, Model, layers, ops

        window = Input((self.window, len(self.channels)))
        changes = ops.clip(layers.Rescaling([1 / change for change in CHANGES])(window - window[:, -1:, :]), -BOUND, BOUND)
        hidden = layers.Conv1D(8, 3, activation="leaky_relu")(changes)
        hidden = layers.Dense(8, "tanh")(layers.Flatten()(hidden))
        # A last layer of zeros begins with "as now", and not with noise.
        return Model(window, layers.Dense(1, kernel_initializer="zeros")(hidden))

    # All below see batches: x of shape (N, window, channels), y and output of shape (N,), and give one value a row.

    def forecast(self, x: Any, output: Any) -> Any:
        """Return the model's number as a forecast, in °C."""
        return x[:, -1, 0] + CHANGES[0] * output

    def loss(self, x: Any, y: Any, output: Any) -> Any:
        """Return what training minimises."""
        from keras import ops

        change = ops.clip((y - x[:, -1, 0]) / CHANGES[0], -BOUND, BOUND)
        return (change - output) ** 2

    def error(self, y: Any, forecast: Any) -> Any:
        """Return the metric's error: its mean over all rows is what the metric transforms."""
        return (y - forecast) ** 2

    def baseline(self, x: Any, y: Any) -> Any:
        """Return the error of a forecast that anybody could make."""
        return (y - x[:, -1, 0]) ** 2
