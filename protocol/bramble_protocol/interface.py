"""What goes into a graph of manifest format 2 and what comes out of it: named inputs, targets, outputs, state and optimizer slots."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bramble_protocol import fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.layout import MAX_PARAMETERS, Layout

DTYPES = ("float32", "int32")
"""What the values of an input, a target or an output may be: measures, or the numbers of classes."""
MOST = 64
"""Inputs, targets, outputs, slots, and horizons of a target."""
LONGEST = 100_000
"""Bins of a window, and bins to look ahead."""
MOST_DRAWS = 1 << 20
"""Random numbers for a row of a minibatch."""
LARGEST_ANSWER = 1 << 20
"""Bytes that a graph may answer to one window."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
SETTINGS = ("idx", "sw", "lr", "mu", "momentum", "clip")
"""What ``descend`` takes beside tensors of the model and of the windows."""
MEASURES = ("loss", "error", "baseline")
"""What ``evaluate`` gives, beside ``error_T`` and ``baseline_T`` of each target that is measured apart."""
SGD, ADAM = ("velocity",), ("mean", "square", "steps")
"""Slots by which an optimizer is known: gradient descent with momentum, and Adam, whose ``steps`` counts those that were done."""


@dataclass(frozen=True)
class Value:
    """Something that a graph gives for each window: its name, the shape of one window's, its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of one window's; every type that is allowed takes four an element."""
        return 4 * self.size


@dataclass(frozen=True)
class Input(Value):
    """The last ``shape[0]`` bins of a window, of some of the task's channels; shape (bins, channels). A missing reading is 0."""

    channels: tuple[str, ...]
    mask: bool = False
    """Whether it is 1 where there is a reading and 0 where there is none, in place of the readings."""


@dataclass(frozen=True)
class Target(Value):
    """What is to be forecast: a channel, so many bins after the window's last; shape () for one horizon, (horizons,) for several."""

    channel: str
    horizons: tuple[int, ...]
    mask: bool = False
    """Whether it is 1 where the channel is known and 0 where it is not, in place of its value: the weight of what may be missing."""


@dataclass(frozen=True)
class Interface:
    """All of it. The first target is the one that the manifest's ``target`` and ``horizon`` speak of."""

    inputs: tuple[Input, ...]
    targets: tuple[Target, ...]
    outputs: tuple[Value, ...]
    """What ``infer`` gives for each window. A forecast of the first target comes first, if there is one."""
    state: Layout = field(default_factory=lambda: Layout(()))
    """What a layer notes while it trains and is no weight, such as a moving mean; float32."""
    slots: tuple[str, ...] = ()
    """What the optimizer carries from step to step, each shaped as the weights are; zeros before the first."""
    clip_norm: float = 1.0
    """The task's own longest gradient, over all weights."""
    measured: tuple[str, ...] = ()
    """Targets that ``evaluate`` measures apart, by their names."""
    draws: int = 0
    """Random numbers that ``descend`` takes for each row of a minibatch, by which layers drop something out."""

    @classmethod
    def usual(
        cls, channels: Sequence[str], window: int, target: str, horizon: int, slots: tuple[str, ...] = (), clip_norm: float = 1.0
    ) -> Interface:
        """Return the one of a task with one window ``x`` of all its channels, one target ``y`` and one forecast ``y`` of it."""
        return cls(
            inputs=(Input("x", (window, len(channels)), "float32", tuple(channels)),),
            targets=(Target("y", (), "float32", target, (horizon,)),),
            outputs=(Value("y", (), "float32"),),
            slots=slots,
            clip_norm=clip_norm,
        )

    @property
    def furthest(self) -> int:
        """Bins between a window's last and the last that any target needs."""
        return max((max(target.horizons) for target in self.targets), default=0)

    @property
    def nbytes(self) -> int:
        """Bytes of one window's inputs."""
        return sum(item.nbytes for item in self.inputs)

    @property
    def answer(self) -> int:
        """Bytes of one window's outputs."""
        return sum(item.nbytes for item in self.outputs)

    def mask_of(self, target: Target) -> Target | None:
        """Return the target that says where this one is known, or None if it always is."""
        same = (target.channel, target.horizons)
        return next((part for part in self.targets if part.mask and (part.channel, part.horizons) == same), None)

    def arguments(self, layout: Layout) -> list[str]:
        """Return the names of all that ``descend`` takes."""
        tensors = [f"{kind}{i}" for kind in ("w", "anchor", "correction", *self.slots) for i in range(len(layout.tensors))]
        states = [f"s{i}" for i in range(len(self.state.tensors))]
        drawn = ["draws"] if self.draws else []
        return [*(item.name for item in (*self.inputs, *self.targets)), *SETTINGS, *drawn, *tensors, *states]

    @classmethod
    def from_wire(cls, value: Any, channels: Collection[str], layout: Layout, least: int = 1) -> Interface:
        """Read and check the JSON form, for a task of these channels and weights, and with at least so many targets.

        Raises
        ------
        ProtocolError
            Naming the first field that is missing, unknown or out of range.
        """
        what = "manifest.interface"
        item = fields.mapping(value, what, ("inputs", "targets", "outputs", "state", "slots", "clip_norm"), ("measured", "draws"))
        read = cls(
            inputs=tuple(_input(part, at, channels) for at, part in _each(item["inputs"], f"{what}.inputs")),
            targets=tuple(_target(part, at, channels) for at, part in _each(item["targets"], f"{what}.targets", least)),
            outputs=tuple(_output(part, at) for at, part in _each(item["outputs"], f"{what}.outputs")),
            state=Layout.from_wire(item["state"], f"{what}.state", least=0),
            slots=tuple(fields.text(part, at, 63, _NAME) for at, part in _each(item["slots"], f"{what}.slots", least=0)),
            clip_norm=fields.number(item["clip_norm"], f"{what}.clip_norm", 0, 1e18),
            measured=tuple(fields.text(part, at, 63, _NAME) for at, part in _each(item.get("measured", []), f"{what}.measured", least=0)),
            draws=fields.integer(item["draws"], f"{what}.draws", 1, MOST_DRAWS) if "draws" in item else 0,
        )
        if odd := set(read.measured) - {part.name for part in read.targets if not part.mask}:
            raise ProtocolError(f"{what}.measured: {min(odd)!r} is not one of its targets")
        _distinct(read.measured, f"{what}.measured")
        _distinct([part.name for part in read.outputs], f"{what}.outputs")
        if read.answer > LARGEST_ANSWER:
            raise ProtocolError(f"{what}.outputs: {read.answer} bytes a window are more than {LARGEST_ANSWER}")
        _distinct(read.arguments(layout), what)
        if idle := set(channels) - {key for part in read.inputs for key in part.channels} - {part.channel for part in read.targets}:
            raise ProtocolError(f"{what}: no input or target is of channel {', '.join(sorted(idle))}")
        return read

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        parts = {name: [_wire(part) for part in getattr(self, name)] for name in ("inputs", "targets", "outputs")}
        told = {**parts, "state": self.state.to_wire(), "slots": list(self.slots), "clip_norm": self.clip_norm}
        told |= {"measured": list(self.measured)} if self.measured else {}
        return told | ({"draws": self.draws} if self.draws else {})


def _wire(part: Value) -> dict[str, Any]:
    told = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(part).items()}
    return {name: value for name, value in told.items() if name != "mask" or value}


def _each(value: Any, what: str, least: int = 1) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, list) or not least <= len(value) <= MOST:
        raise ProtocolError(f"{what}: expected a list of {least} to {MOST}")
    return ((f"{what}[{i}]", part) for i, part in enumerate(value))


def _distinct(names: Sequence[str], what: str) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ProtocolError(f"{what}: {twice[0]!r} is the name of two things; call one of them otherwise")


def _output(value: Any, what: str) -> Value:
    item = fields.mapping(value, what, ("name", "shape", "dtype"))
    return Value(*_value(item, what))


def _input(value: Any, what: str, channels: Collection[str]) -> Input:
    item = fields.mapping(value, what, ("name", "shape", "dtype", "channels"), ("mask",))
    keys = tuple(_channel(key, at, channels) for at, key in _each(item["channels"], f"{what}.channels"))
    _distinct(keys, f"{what}.channels")
    read = Input(*_value(item, what), keys, fields.flag(item.get("mask", False), f"{what}.mask"))
    if len(read.shape) != 2 or read.shape[1] != len(keys) or read.shape[0] > LONGEST:
        raise ProtocolError(f"{what}.shape: expected [bins, {len(keys)}], bins being at most {LONGEST}")
    return read


def _target(value: Any, what: str, channels: Collection[str]) -> Target:
    item = fields.mapping(value, what, ("name", "shape", "dtype", "channel", "horizons"), ("mask",))
    horizons = tuple(fields.integer(part, at, 0, LONGEST) for at, part in _each(item["horizons"], f"{what}.horizons"))
    if any(later <= earlier for earlier, later in itertools.pairwise(horizons)):
        raise ProtocolError(f"{what}.horizons: expected numbers that increase")
    mask = fields.flag(item.get("mask", False), f"{what}.mask")
    read = Target(*_value(item, what), _channel(item["channel"], f"{what}.channel", channels), horizons, mask)
    if read.shape not in ((len(horizons),), () if len(horizons) == 1 else None):
        raise ProtocolError(f"{what}.shape: expected [{len(horizons)}], one for each horizon{', or []' if len(horizons) == 1 else ''}")
    return read


def _value(item: Mapping[str, Any], what: str) -> tuple[str, tuple[int, ...], str]:
    name, shape = fields.text(item["name"], f"{what}.name", 63, _NAME), item["shape"]
    if not isinstance(shape, list) or len(shape) > 8 or not all(type(n) is int and n > 0 for n in shape):
        raise ProtocolError(f"{what}.shape: expected at most 8 positive integers")
    if math.prod(shape) > MAX_PARAMETERS:
        raise ProtocolError(f"{what}.shape: {math.prod(shape):.3g} elements are more than {MAX_PARAMETERS}")
    if item["dtype"] not in DTYPES:
        raise ProtocolError(f"{what}.dtype: expected one of {', '.join(DTYPES)}")
    return name, tuple(shape), item["dtype"]


def _channel(value: Any, what: str, channels: Collection[str]) -> str:
    if value not in channels:
        raise ProtocolError(f"{what}: {str(value)[:80]!r} is not one of the manifest's channels")
    return str(value)
