"""The tasks that a TOML file beside a saved Keras model can declare, one class for each kind."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from bramble_protocol.graph import Metric
from bramble_protocol.interface import Input, Target, Value
from bramble_protocol.kinds import LABEL, Kind
from bramble_protocol.messages import Channel, TrainConfig
from bramble_server.authoring.saved import CLASSIFY, RECONSTRUCT, Declared, SavedTaskError, refuse_custom_layers
from bramble_server.tasks.base import Task, Tensor

WINDOW, THERE = "window", "there"
"""The model's inputs: the readings, and where there is one of each optional channel."""


def made(path: Path, told: Declared) -> Task:
    """Return the task of a file at this path that says this."""
    if told.kind == CLASSIFY:
        return Classification(path, told)
    if told.kind == RECONSTRUCT:
        return Reconstruction(path, told)
    plain = len(told.horizons) == told.stride == told.least == 1 and not any(each.optional for each in told.channels.values())
    return Forecast(path, told) if plain else Forecasts(path, told)


class _Saved(Task):
    """What all of them have: numbers of the file, and the model behind its channels' scaling."""

    def __init__(self, path: Path, told: Declared) -> None:
        self._path, self._told = path, told
        self.name = told.name
        self.channels = tuple(Channel(key, channel.unit) for key, channel in told.channels.items())
        self.window, self.step_s, self.stride, self.least = told.window, told.step, told.stride, told.least
        self.target, self.horizon = told.target or LABEL, told.horizons[-1]
        self.config = TrainConfig(epochs=told.train.epochs, batch_size=told.train.batch_size, learning_rate=told.train.learning_rate)
        self.clip_norm, self.optimizer = told.clip_norm, told.optimizer
        self.optional = tuple(key for key, channel in told.channels.items() if channel.optional)
        keys = tuple(told.channels)
        self.inputs = (Input(WINDOW, (told.window, len(keys)), "float32", keys),)
        if self.optional:
            self.inputs += (Input(THERE, (told.window, len(self.optional)), "float32", self.optional, mask=True),)

    def model(self) -> Any:
        """Put the channels' scaling before the saved model; a missing reading is 0 then, and its mask one more column."""
        from keras import Input as Given
        from keras import Model, layers

        given = {part.name: Given(part.shape, name=part.name) for part in self.inputs}
        columns = self._scaled(given[WINDOW])
        if self.optional:
            columns = layers.Concatenate()([columns * self._known(given), given[THERE]])
        return Model(given, self._loaded((None, self.window, len(self._told.channels) + len(self.optional)))(columns))

    def doubt(self, x: Any, y: Any) -> Tensor:
        """Return how far out of its channels' ranges the window's furthest reading lies, half a range being 1."""
        from keras import ops

        known, window, parts = self._known(x), x[WINDOW], [x[WINDOW][:, 0, 0] * 0]
        for place, channel in enumerate(self._told.channels.values()):
            if channel.high != math.inf:
                far = ops.abs(window[:, :, place] - (channel.high + channel.low) / 2) / ((channel.high - channel.low) / 2)
                parts.append(ops.max(far * known[:, :, place], axis=1))
        return ops.max(ops.stack(parts), axis=0)

    def _scaled(self, window: Tensor) -> Tensor:
        from keras import layers

        channels = self._told.channels.values()
        return layers.Rescaling([1 / each.scale for each in channels], [-each.center / each.scale for each in channels])(window)

    def _known(self, x: dict[str, Tensor]) -> Tensor:
        """Return where there is a reading of each channel, in the shape of the window."""
        from keras import ops

        places = {key: place for place, key in enumerate(self.optional)}
        parts = [
            x[THERE][:, :, places[key] : places[key] + 1] if key in places else x[WINDOW][:, :, :1] * 0 + 1 for key in self._told.channels
        ]
        return ops.concatenate(parts, -1)

    def _loaded(self, wanted: tuple[int | None, ...]) -> Any:
        """Return the saved model, which must take what is wanted and give what this task makes something of."""
        from keras import saving

        path = self._path.parent / self._told.model
        refuse_custom_layers(path)
        try:
            loaded = saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise SavedTaskError(
                f"{path}: Keras cannot load it ({type(error).__name__}: {said}); save it with model.save('NAME.keras')"
            ) from error
        if loaded.input_shape != wanted:
            masks = f", and a mask each of {', '.join(self.optional)}" if self.optional else ""
            raise SavedTaskError(
                f"{path}: the model takes {loaded.input_shape}; by {self._path.name} it must take {wanted}: {self.window} bins of "
                f"{', '.join(self._told.channels)}, in this order{masks}"
            )
        if loaded.output_shape != (None, *self._gives):
            raise SavedTaskError(
                f"{path}: the model gives {loaded.output_shape}; by {self._path.name} it must give {(None, *self._gives)}: {self._meaning}"
            )
        return loaded

    @property
    def _gives(self) -> tuple[int, ...]:
        """The shape of what the model is to give for a window."""
        raise NotImplementedError

    @property
    def _meaning(self) -> str:
        """What that is, in words."""
        raise NotImplementedError

    def _loss_of(self, off: Tensor) -> Tensor:
        """Return the loss of differences, each by itself."""
        from keras import ops

        if self._told.loss == "squared":
            return off * off
        size = ops.maximum(off, -off)
        if self._told.loss == "absolute":
            return size
        near = ops.minimum(size, 1.0)  # Huber 1964, eq. 2.1 with k = 1: squared up to there, straight beyond
        return near * (size - 0.5 * near)


class Forecasts(_Saved):
    """A channel at one or more horizons."""

    def __init__(self, path: Path, told: Declared) -> None:
        super().__init__(path, told)
        ahead = " and ".join(map(str, told.horizons))
        self.description = told.description or f"{told.target} {ahead} bins ahead, from the last {told.window}"
        unit = told.channels[told.target].unit
        self.metric = Metric(told.metric, unit, "sqrt" if told.metric == "RMSE" else "none", "persistence: it will be as now")
        self._place = list(told.channels).index(told.target)
        self.targets = (Target("y", self._gives, "float32", told.target, told.horizons),)
        self.outputs = (Value("y", self._gives, "float32"),)

    @property
    def _gives(self) -> tuple[int, ...]:
        return (len(self._told.horizons),)

    @property
    def _meaning(self) -> str:
        return "one number a horizon"

    def forecast(self, x: Any, output: Tensor) -> Any:
        """Return the model's numbers in the target's unit."""
        return {"y": self._from(x[WINDOW]) + self._told.scale * output}

    def loss(self, x: Any, y: Any, output: Tensor) -> Tensor:
        """Return the mean loss of the scaled differences."""
        from keras import ops

        return ops.mean(self._loss_of((y["y"] - self._from(x[WINDOW])) / self._told.scale - output), axis=-1)

    def error(self, y: Any, forecast: Any) -> Tensor:
        """Return the metric's error at the furthest horizon."""
        return self._error(y["y"][:, -1] - forecast["y"][:, -1])

    def baseline(self, x: Any, y: Any) -> Tensor:
        """Return the error of the forecast that nothing changes."""
        return self._error(y["y"][:, -1] - x[WINDOW][:, -1, self._place])

    def _error(self, off: Tensor) -> Tensor:
        from keras import ops

        return off * off if self._told.metric == "RMSE" else ops.maximum(off, -off)

    def _from(self, window: Tensor) -> Tensor:
        """Return what the model's numbers are added to, shape (N, 1): the value that is now, or the channel's center."""
        now = window[:, -1, self._place : self._place + 1]
        return now if self._told.predicts == "change" else now * 0 + self._told.channels[self.target].center


class Forecast(Forecasts):
    """A channel at one horizon, from channels that every client has: clients of release 0.1 can learn it, too."""

    def __init__(self, path: Path, told: Declared) -> None:
        super().__init__(path, told)
        self.inputs, self.targets, self.outputs = (), (), ()

    def model(self) -> Any:
        """Put the channels' scaling before the saved model."""
        from keras import Input as Given
        from keras import Model

        window = Given((self.window, len(self.channels)))
        return Model(window, self._loaded((None, *window.shape[1:]))(self._scaled(window)))

    def doubt(self, x: Tensor, y: Tensor) -> Tensor:
        """Return how far out of its channels' ranges the window's furthest reading lies, half a range being 1."""
        return super().doubt({WINDOW: x}, y)

    @property
    def _meaning(self) -> str:
        return "the forecast, one number"

    def forecast(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the model's number in the target's unit."""
        return super().forecast({WINDOW: x}, _column(output))["y"][:, 0]

    def loss(self, x: Tensor, y: Tensor, output: Tensor) -> Tensor:
        """Return the loss of the scaled difference."""
        return super().loss({WINDOW: x}, {"y": _column(y)}, _column(output))

    def error(self, y: Tensor, forecast: Tensor) -> Tensor:
        """Return the metric's error of each row."""
        return super().error({"y": _column(y)}, {"y": _column(forecast)})

    def baseline(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the error of the forecast that nothing changes."""
        return super().baseline({WINDOW: x}, {"y": _column(y)})


class Classification(_Saved):
    """Which class a window is of, as somebody says or by a rule on a channel."""

    def __init__(self, path: Path, told: Declared) -> None:
        super().__init__(path, told)
        self.kind = Kind(CLASSIFY, tuple(told.classes), tuple(told.edges))
        if self.target == LABEL:
            self.channels += (Channel(LABEL, ""),)
        self.description = told.description or f"Which of {', '.join(told.classes)}, from the last {told.window} bins"
        wrong = f"{len(told.classes) - 1} of {len(told.classes)} are wrong"
        self.metric = Metric("error rate", "", "none", f"a guess: {wrong}")
        self.targets = (Target("true", (), "int32", self.target, told.horizons),)
        self.outputs = (Value("probability", self._gives, "float32"),)

    @property
    def _gives(self) -> tuple[int, ...]:
        return (len(self._told.classes),)

    @property
    def _meaning(self) -> str:
        return f"{self._told.predicts} of its classes"

    def forecast(self, x: Any, output: Tensor) -> Any:
        """Return each class's probability."""
        from keras import ops

        return {"probability": ops.softmax(output) if self._told.predicts == "logits" else output}

    def loss(self, x: Any, y: Any, output: Tensor) -> Tensor:
        """Cross entropy."""
        from keras import ops

        chosen = self._chosen(y)
        if self._told.predicts == "logits":
            above = output - ops.max(output, axis=-1, keepdims=True)
            return ops.log(ops.sum(ops.exp(above), axis=-1)) - ops.sum(above * chosen, axis=-1)
        return -ops.log(ops.maximum(ops.sum(output * chosen, axis=-1), 1e-7))

    def error(self, y: Any, forecast: Any) -> Tensor:
        """1 where the most probable class is another than the true one."""
        from keras import ops

        probability = forecast["probability"]
        true = ops.sum(probability * self._chosen(y), axis=-1)
        return ops.cast(true < ops.max(probability, axis=-1), "float32")

    def baseline(self, x: Any, y: Any) -> Tensor:
        """The part of wrong guesses, whatever the class."""
        from keras import ops

        return 0 * ops.cast(y["true"], "float32") + (1 - 1 / len(self._told.classes))

    def _chosen(self, y: Any) -> Tensor:
        """Return 1 at each row's class and 0 elsewhere, shape (N, classes)."""
        from keras import ops

        far = ops.abs(ops.cast(y["true"], "float32")[:, None] - np.arange(len(self._told.classes), dtype=np.float32))
        return ops.cast(far < 0.5, "float32")


class Reconstruction(_Saved):
    """How badly a window is made again by the model, scaled as it was given."""

    def __init__(self, path: Path, told: Declared) -> None:
        super().__init__(path, told)
        self.kind = Kind(RECONSTRUCT, alarm_rate=told.alarm_rate)
        self.target = next(key for key in told.channels if key not in self.optional) if len(self.optional) < len(told.channels) else ""
        self.description = told.description or f"How unlike what was measured before the last {told.window} bins are"
        self.metric = Metric("error", "", "none", "nothing changes: the window is made of its mean")
        self.targets, self.outputs = (), (Value("error", (), "float32"),)

    def model(self) -> Any:
        """Hand on the scaled window, too: what is to be made again."""
        from keras import Model

        plain = super().model()
        given = {tensor.name: tensor for tensor in plain.inputs}
        return Model(given, {"was": self._scaled(given[WINDOW]), "made": plain.output})

    @property
    def _gives(self) -> tuple[int, ...]:
        return (self.window, len(self._told.channels))

    @property
    def _meaning(self) -> str:
        return "the window that it was given, without masks"

    def forecast(self, x: Any, output: Any) -> Any:
        """Return each window's error, over the readings that there are."""
        return {"error": self._mean(x, output["was"] - output["made"])}

    def loss(self, x: Any, y: Any, output: Any) -> Tensor:
        """The error."""
        return self._mean(x, output["was"] - output["made"])

    def error(self, y: Any, forecast: Any) -> Tensor:
        """The error."""
        return forecast["error"]

    def baseline(self, x: Any, y: Any) -> Tensor:
        """The error of a model that makes every window of its mean."""
        from keras import ops

        scaled, known = self._scaled(x[WINDOW]), self._known(x)
        mean = ops.sum(scaled * known, axis=1, keepdims=True) / ops.maximum(ops.sum(known, axis=1, keepdims=True), 1.0)
        return self._mean(x, scaled - mean)

    def _mean(self, x: Any, off: Tensor) -> Tensor:
        from keras import ops

        known = self._known(x)
        return ops.sum(self._loss_of(off) * known, axis=(1, 2)) / ops.maximum(ops.sum(known, axis=(1, 2)), 1.0)


def _column(y: Tensor) -> Tensor:
    from keras import ops

    return ops.reshape(y, (-1, 1))
