"""A task from a saved Keras model and a short TOML file that says what goes in and what comes out.

::

    name = "power"
    description = "Power in an hour, from the last day"
    model = "model.keras"        # beside this file
    kind = "forecast"            # or "classify", "reconstruct"
    window = 24                  # bins
    step = "1h"                  # one bin
    target = "power_kw"
    horizon = 1                  # bins behind the window's last; or several, [1, 3]
    predicts = "change"          # from now; or "value"
    scale = 1.5                  # what the model's 1 is, in the target's unit
    loss = "squared"             # or "absolute", "huber"
    metric = "RMSE"              # or "MAE"
    stride = 1                   # bins from one window to the next
    least = 1                    # windows that a client must have before it trains
    clip_norm = 1.0
    optimizer = "sgd"            # or "adam"

    [channels.power_kw]
    unit = "kW"
    center = 2.0                 # the model is given (value - center) / scale
    scale = 1.5
    optional = false             # whether a client may lack it
    low = 0.0                    # windows with a reading outside of this are not trained on; left out: with any
    high = 20.0

    [train]
    epochs = 1
    batch_size = 32
    learning_rate = 0.03

``classify`` has ``classes``, perhaps ``edges`` (a rule on the target; else its target is the label), and ``predicts`` says what the model
gives, ``probabilities`` or ``logits``. ``reconstruct`` has ``alarm_rate``; its model gives the window again, scaled as it was given.
"""

from __future__ import annotations

import json
import math
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bramble_protocol.amounts import seconds
from bramble_protocol.errors import BrambleError
from bramble_protocol.fields import CLIENT_ID
from bramble_protocol.graph import Manifest
from bramble_protocol.kinds import LABEL
from bramble_protocol.layout import Layout
from bramble_server.tasks.base import Task

FORECAST, CLASSIFY, RECONSTRUCT = "forecast", "classify", "reconstruct"
PREDICTS = {FORECAST: ("change", "value"), CLASSIFY: ("probabilities", "logits"), RECONSTRUCT: ()}
"""What a model of each kind may give; the first if nothing is said."""
OF_KIND = {
    FORECAST: ("target", "horizon", "predicts", "scale", "loss", "metric"),
    CLASSIFY: ("target", "horizon", "predicts", "classes", "edges"),
    RECONSTRUCT: ("loss", "alarm_rate"),
}
"""Settings that not every kind has."""


class SavedTaskError(BrambleError):
    """A TOML file or the model that it names cannot be a task; the text names the file, the setting or layer, and the remedy."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DeclaredChannel(_Table):
    """A table ``[channels.KEY]``."""

    unit: str
    center: float = Field(0.0, allow_inf_nan=False)
    scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    optional: bool = False
    low: float = Field(-math.inf)
    high: float = Field(math.inf)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if (self.low == -math.inf) != (self.high == math.inf) or self.low >= self.high:
            raise ValueError("low and high: expected both ends of a range, or neither")
        return self


class _Train(_Table):
    epochs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(0.03, gt=0)


class Declared(_Table):
    """The whole file."""

    name: str = Field(pattern=f"^(?:{CLIENT_ID.pattern})$")
    description: str = ""
    model: str
    kind: Literal["forecast", "classify", "reconstruct"] = "forecast"
    channels: dict[str, DeclaredChannel] = Field(min_length=1)
    window: int = Field(ge=1)
    step: Annotated[float, BeforeValidator(seconds)]
    target: str = ""
    horizon: int | list[int] = 1
    classes: list[str] = []
    edges: list[float] = []
    alarm_rate: float = 0.001
    predicts: str = ""
    scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    loss: Literal["squared", "absolute", "huber"] = "squared"
    metric: Literal["RMSE", "MAE"] = "RMSE"
    stride: int = Field(1, ge=1)
    least: int = Field(1, ge=1)
    clip_norm: float = Field(1.0, gt=0)
    optimizer: Literal["sgd", "adam"] = "sgd"
    train: _Train = _Train()

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        others = {name for names in OF_KIND.values() for name in names} - set(OF_KIND[self.kind])
        if odd := sorted(others & self.model_fields_set):
            raise ValueError(f"{odd[0]} is no setting of a task that is to {self.kind}; leave it out, or say another kind")
        wanted = PREDICTS[self.kind]
        if wanted and (self.predicts or wanted[0]) not in wanted:
            raise ValueError(f"predicts: a model that is to {self.kind} gives {' or '.join(wanted)}, and not {self.predicts!r}")
        self.predicts = self.predicts or (wanted[0] if wanted else "")
        if self.kind == CLASSIFY and not self.classes:
            raise ValueError("classes is missing: name them, as in classes = ['sit', 'walk']")
        if self.kind == CLASSIFY and bool(self.edges) != (self.target not in ("", LABEL)):
            raise ValueError(
                f"edges: a rule is on a channel, the target, and has an edge between each two classes; without both the {LABEL} says it"
            )
        if self.horizon == []:
            raise ValueError("horizon: name one at least")
        if self.kind == FORECAST and not self.target:
            raise ValueError("target is missing")
        return self

    @property
    def horizons(self) -> tuple[int, ...]:
        """How many bins behind the window's last; of what somebody says while it is, none."""
        if self.kind == RECONSTRUCT or (self.kind == CLASSIFY and "horizon" not in self.model_fields_set):
            return (0,)
        return tuple(self.horizon) if isinstance(self.horizon, list) else (self.horizon,)


def read(path: Path) -> Task:
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
        told = Declared.model_validate(content)
    except ValidationError as error:
        raise SavedTaskError(f"task: {path}: " + "; ".join(_sentence(item) for item in error.errors())) from None
    if LABEL in told.channels:
        raise SavedTaskError(f"task: {path}: channels: {LABEL} is what somebody says of the readings, and no channel that a model is given")
    if told.target not in ("", *([LABEL] if told.kind == CLASSIFY else []), *told.channels):
        raise SavedTaskError(f"task: {path}: target: {told.target!r} is not one of its channels ({', '.join(told.channels)})")
    from bramble_server.authoring.saved_tasks import made  # which knows what is read here

    task = made(path, told)
    try:
        Manifest.from_wire(task.manifest(Layout.of([("w", [1])])).to_wire())
    except BrambleError as error:
        raise SavedTaskError(f"task: {path}: {error}") from error
    return task


def _sentence(item: Any) -> str:
    where = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{where} is missing"
    if not where:
        return str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return f"{where} is not a setting of a task; known are {', '.join(Declared.model_fields)}"
    return f"{where}: {str(item['msg']).removeprefix('Value error, ')}"


def refuse_custom_layers(path: Path) -> None:
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
