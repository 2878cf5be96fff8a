"""A task from a saved Keras model and a short TOML file that says what goes in and what comes out.

::

    name = "power"
    description = "Power in an hour, from the last day"
    model = "model.keras"        # beside this file
    window = 24                  # bins
    step = "1h"                  # one bin
    target = "power_kw"
    horizon = 1                  # bins behind the window's last
    predicts = "change"          # from now; or "value"
    scale = 1.5                  # what the model's 1 is, in the target's unit
    loss = "squared"             # or "absolute", "huber"
    metric = "RMSE"              # or "MAE"
    clip_norm = 1.0
    optimizer = "sgd"            # or "adam"

    [channels.power_kw]
    unit = "kW"
    center = 2.0                 # the model is given (value - center) / scale
    scale = 1.5

    [train]
    epochs = 1
    batch_size = 32
    learning_rate = 0.03
"""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bramble_protocol.amounts import seconds
from bramble_protocol.errors import BrambleError
from bramble_protocol.fields import CLIENT_ID
from bramble_protocol.graph import Manifest, Metric
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel, TrainConfig
from bramble_server.tasks.base import Task, Tensor


class SavedTaskError(BrambleError):
    """A TOML file or the model that it names cannot be a task; the text names the file, the setting or layer, and the remedy."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Channel(_Table):
    unit: str
    center: float = Field(0.0, allow_inf_nan=False)
    scale: float = Field(1.0, gt=0, allow_inf_nan=False)


class _Train(_Table):
    epochs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(0.03, gt=0)


class _Declared(_Table):
    name: str = Field(pattern=f"^(?:{CLIENT_ID.pattern})$")
    description: str = ""
    model: str
    channels: dict[str, _Channel] = Field(min_length=1)
    window: int = Field(ge=1)
    step: Annotated[float, BeforeValidator(seconds)]
    target: str
    horizon: int = Field(1, ge=0)
    predicts: Literal["change", "value"] = "change"
    scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    loss: Literal["squared", "absolute", "huber"] = "squared"
    metric: Literal["RMSE", "MAE"] = "RMSE"
    clip_norm: float = Field(1.0, gt=0)
    optimizer: Literal["sgd", "adam"] = "sgd"
    train: _Train = _Train()


class SavedTask(Task):
    """The task that a TOML file and a saved model declare."""

    def __init__(self, path: Path, told: _Declared) -> None:
        self._path, self._told = path, told
        self.name = told.name
        self.channels = tuple(Channel(key, channel.unit) for key, channel in told.channels.items())
        self.window, self.step_s, self.horizon, self.target = told.window, told.step, told.horizon, told.target
        self.description = told.description or f"{told.target} {told.horizon} bins ahead, from the last {told.window}"
        unit = told.channels[told.target].unit
        self.metric = Metric(told.metric, unit, "sqrt" if told.metric == "RMSE" else "none", "persistence: it will be as now")
        self.config = TrainConfig(epochs=told.train.epochs, batch_size=told.train.batch_size, learning_rate=told.train.learning_rate)
        self.clip_norm, self.optimizer = told.clip_norm, told.optimizer
        self._place = [channel.key for channel in self.channels].index(told.target)

    def model(self) -> Any:
        """Put the channels' scaling before the saved model."""
        from keras import Input, Model, layers, saving

        path = self._path.parent / self._told.model
        _refuse_custom_layers(path)
        try:
            loaded = saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise SavedTaskError(
                f"{path}: Keras cannot load it ({type(error).__name__}: {said}); save it with model.save('NAME.keras')"
            ) from error
        channels = self._told.channels.values()
        scaled = layers.Rescaling([1 / each.scale for each in channels], [-each.center / each.scale for each in channels])
        wanted, found = (None, self.window, len(self.channels)), loaded.input_shape
        if found != wanted:
            raise SavedTaskError(
                f"{path}: the model takes {found}; by {self._path.name} it must take {wanted}: {self.window} bins of "
                f"{', '.join(self._told.channels)}, in this order"
            )
        window = Input(wanted[1:])
        return Model(window, loaded(scaled(window)))

    def forecast(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the model's number in the target's unit."""
        return self._from(x) + self._told.scale * output

    def loss(self, x: Tensor, y: Tensor, output: Tensor) -> Tensor:
        """Return the loss of the scaled difference."""
        from keras import ops

        off = (y - self._from(x)) / self._told.scale - output
        if self._told.loss == "squared":
            return off * off
        size = ops.maximum(off, -off)
        if self._told.loss == "absolute":
            return size
        near = ops.minimum(size, 1.0)  # Huber 1964, eq. 2.1 with k = 1: squared up to there, straight beyond
        return near * (size - 0.5 * near)

    def error(self, y: Tensor, forecast: Tensor) -> Tensor:
        """Return the metric's error of each row."""
        from keras import ops

        off = y - forecast
        return off * off if self._told.metric == "RMSE" else ops.maximum(off, -off)

    def baseline(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the error of the forecast that nothing changes."""
        return self.error(y, x[:, -1, self._place])

    def _from(self, x: Tensor) -> Tensor:
        """Return what the model's number is added to: the value that is now, or the channel's center."""
        if self._told.predicts == "change":
            return x[:, -1, self._place]
        return self._told.channels[self.target].center


def read(path: Path) -> SavedTask:
    """Read a TOML file of this form.

    Raises
    ------
    SavedTaskError
        Naming the setting that is missing, unknown or out of range.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SavedTaskError(f"task: cannot read {path} ({error.strerror})") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SavedTaskError(f"task: {path} is not TOML: {error}") from None
    try:
        told = _Declared.model_validate(content)
    except ValidationError as error:
        raise SavedTaskError(f"task: {path}: " + "; ".join(_sentence(item) for item in error.errors())) from None
    if told.target not in told.channels:
        raise SavedTaskError(f"task: {path}: target: {told.target!r} is not one of its channels ({', '.join(told.channels)})")
    task = SavedTask(path, told)
    try:
        Manifest.from_wire(task.manifest(Layout.of([("w", [1])])).to_wire())
    except BrambleError as error:
        raise SavedTaskError(f"task: {path}: {error}") from error
    return task


def _sentence(item: Any) -> str:
    where = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{where} is missing"
    if item["type"] == "extra_forbidden":
        return f"{where} is not a setting of a task; known are {', '.join(_Declared.model_fields)}"
    return f"{where}: {str(item['msg']).removeprefix('Value error, ')}"


def _refuse_custom_layers(path: Path) -> None:
    """Say which layer is not Keras's own before Keras fails at its class, which is not in the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except OSError as error:
        raise SavedTaskError(f"task: cannot read {path} ({error.strerror})") from None
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise SavedTaskError(f"{path}: not a model that Keras 3 saved ({error}); save it with model.save('NAME.keras')") from None
    remedy = "build it of Keras's own layers, or write the task as a Python file, where the layer is declared (bramble task new)"
    for layer in _classes(config):
        name, kind = layer.get("config", {}).get("name", "?"), layer["class_name"]
        if kind == "Lambda":
            raise SavedTaskError(f"{path}: layer {name} is a Lambda, whose code is not run from a file; {remedy}")
        if layer.get("registered_name") and not str(layer.get("module") or "").startswith("keras"):
            raise SavedTaskError(f"{path}: layer {name} is of a class of its own, {kind}; {remedy}")


def _classes(config: Any) -> Iterator[dict[str, Any]]:
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)
