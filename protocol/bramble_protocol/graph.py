"""The graph file: a task's ``.tflite`` with its manifest and initial weights appended as a zip archive.

TensorFlow Lite's own metadata convention packs associated files the same way: the runtimes read the flatbuffer at the
front and ignore the rest, a zip reader finds its directory at the end. So one file, and one digest, says all about a task.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from bramble_protocol import codecs, fields, kinds
from bramble_protocol.errors import ProtocolError
from bramble_protocol.interface import LONGEST, SGD, Interface
from bramble_protocol.kinds import Kind
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import MAX_CHANNELS, Channel, TrainConfig

FORMAT = 2
"""Newest format of manifests; the one before is read as well."""
LARGEST = 64 << 20
"""Bytes of a graph file; a larger one is neither fetched nor read. A Pi holds it in memory."""
LARGEST_MANIFEST = 1 << 20
"""Bytes of a manifest, unpacked: 4096 tensors with long names."""
MOST_FILES = 16
"""Files in a graph's archive."""
_MANIFEST, _NEWER, _WEIGHTS, _STATE = "manifest.json", "manifest.2.json", "weights.f32", "state.f32"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_END = struct.Struct("<4s4H2LH")
"""A zip archive's last record (APPNOTE 4.3.16): signature, disks, entries here and in all, the directory's size and place, comment."""


@dataclass(frozen=True)
class Metric:
    """What ``evaluate`` measures, as a person reads it.

    ``error`` and ``baseline`` leave the graph as means over samples, so that means of several clients can be pooled
    by sample count; ``transform`` (``sqrt`` or ``none``) is applied to the pooled mean, last of all.
    """

    name: str
    unit: str
    transform: str
    baseline: str
    """What the baseline is, in words: ``persistence: in three hours it will be as now``."""

    def read(self, mean: float) -> float:
        """Return a pooled mean of ``error`` or ``baseline`` as a person reads it, in ``unit``."""
        return math.sqrt(max(mean, 0.0)) if self.transform == "sqrt" else mean


@dataclass(frozen=True)
class Manifest:
    """Everything a client or a server must know of a task besides its graph.

    A window is ``window`` consecutive bins of ``step_s`` seconds, one mean reading of each channel in each; its target is
    the ``target`` channel, ``horizon`` bins after the window's last. Values enter the graph in their channels' units. What of that is
    otherwise for a task that does not forecast, or that some clients have not all channels of, is in :mod:`bramble_protocol.kinds`.

    What a client can call, all float32 unless declared otherwise, N being windows, ``x...`` the inputs and ``y...`` the targets by
    their names, ``w0, w1, ...`` the layout's tensors and ``s0, s1, ...`` the state's:

    * ``infer(x..., w..., s...) -> the outputs``
    * ``evaluate(x..., y..., sw[N], w..., s...) -> loss, error, baseline`` (scalars, weighted means by ``sw``), and of each target ``T`` in
      ``measured`` also ``error_T, baseline_T``, over the windows in which it is known at all its horizons
    * ``descend(x..., y..., idx[S, B] int32, sw[S, B], lr, mu, momentum, clip, w..., anchor0..., correction0..., velocity0..., s...) ->
      loss, next_w0, ..., next_velocity0, ..., next_s0, ...``: S steps of a local run; row s of ``idx`` picks minibatch s, ``sw`` masks
      its padding. With ``draws`` in the interface it takes ``draws[S, B, draws]``, too, uniform in [0, 1): what dropout goes by
    * ``doubt(x..., y...) -> doubt[N]``, if the task has bounds: above 1 a window cannot be true, and is not trained on

    A step of ``descend`` shortens the gradient g to the length ``clip`` over all weights, and does v = momentum v + g + mu (w - anchor) +
    correction, w = w - lr v. ``mu`` is FedProx's weight of the distance to the anchor, the round's model; a correction is what
    SCAFFOLD and FedDyn add, zeros without; ``velocity`` is one of the declared slots. Nothing else is kept, so steps in several calls,
    each with what the one before gave, end with the same bits as in one.

    A graph whose slots are ``mean``, ``square`` and ``steps`` takes and gives these in place of ``velocity``, and steps by Adam (Kingma and
    Ba 2015, algorithm 1) along that same gradient: ``steps`` holds how many were done, in each of its numbers. It does not look at
    ``momentum``.

    A graph of format 1 has one window ``x``, one target and one forecast ``y``, no state, and instead of ``descend``

    * ``fit(x, y, idx, sw, lr, mu, w...) -> loss, next_w0, ...``: as above with no correction, momentum or clip but the task's, the anchor
      being the weights that came in: with ``mu`` it cannot be cut.

    Where that is all that a task needs, its graph has ``fit`` too and its file both manifests, so that clients of release 0.1 train it.
    """

    task: str
    description: str
    channels: tuple[Channel, ...]
    window: int
    step_s: float
    horizon: int
    target: str
    layout: Layout
    metric: Metric
    config: TrainConfig = field(default_factory=TrainConfig)
    declared: Interface | None = None
    """What goes in and comes out, in format 2; None in format 1, where it is always the same."""
    kind: Kind = kinds.FORECAST
    """What sort of answer its graph gives; in format 1 always a forecast."""
    optional: tuple[str, ...] = ()
    """Channels that a client may lack: it takes part with what it has."""
    stride: int = 1
    """Bins from one window to the next: windows end at bins whose number it divides."""
    least: int = 1
    """Windows that a client must have before it trains."""

    @classmethod
    def from_wire(cls, value: Any) -> Manifest:
        """Read and check the JSON form.

        Raises
        ------
        ProtocolError
            Naming the first field that is missing, unknown or out of range.
        """
        if not isinstance(value, dict) or "format" not in value:
            raise ProtocolError("manifest: expected an object with a format")
        version = fields.integer(value["format"], "manifest.format", 1, FORMAT)
        names = ("format", "task", "description", "channels", "window", "step_s", "horizon", "target", "layout", "metric", "config")
        more = ((), ()) if version == 1 else (("interface",), ("kind", "optional", "stride", "least"))
        item = fields.mapping(value, "manifest", (*names, *more[0]), more[1])
        if not isinstance(item["channels"], list) or not 0 < len(item["channels"]) <= MAX_CHANNELS:
            raise ProtocolError(f"manifest.channels: expected a list of 1 to {MAX_CHANNELS} channels")
        channels = tuple(Channel.from_wire(channel) for channel in item["channels"])
        keys = [channel.key for channel in channels]
        metric = fields.mapping(item["metric"], "manifest.metric", ("name", "unit", "transform", "baseline"))
        if item["target"] not in keys:
            raise ProtocolError(f"manifest.target: {str(item['target'])[:80]!r} is not one of its channels")
        if metric["transform"] not in ("sqrt", "none"):
            raise ProtocolError("manifest.metric.transform: expected 'sqrt' or 'none'")
        if not isinstance(item.get("optional", []), list):
            raise ProtocolError("manifest.optional: expected a list of channels")
        layout = Layout.from_wire(item["layout"])
        kind = Kind.from_wire(item["kind"]) if "kind" in item else kinds.FORECAST
        least = 0 if kind.name == "reconstruct" else 1
        read = cls(
            task=fields.text(item["task"], "manifest.task", 63, fields.CLIENT_ID),
            description=fields.text(item["description"], "manifest.description"),
            channels=channels,
            window=fields.integer(item["window"], "manifest.window", 1, LONGEST),
            step_s=fields.number(item["step_s"], "manifest.step_s", 1e-3, 1e7),
            horizon=fields.integer(item["horizon"], "manifest.horizon", 0, LONGEST),
            target=item["target"],
            layout=layout,
            metric=Metric(**{name: fields.text(text, f"manifest.metric.{name}", 200) for name, text in metric.items()}),
            config=TrainConfig.from_wire(item["config"]),
            declared=Interface.from_wire(item["interface"], keys, layout, least) if version == 2 else None,
            kind=kind,
            optional=tuple(fields.key(key, "manifest.optional") for key in item.get("optional", [])),
            stride=fields.integer(item.get("stride", 1), "manifest.stride", 1, LONGEST),
            least=fields.integer(item.get("least", 1), "manifest.least", 1, LONGEST),
        )
        read._agree()
        return read

    def _agree(self) -> None:
        """Check that what the manifest says in two places is the same."""
        longest = max(part.shape[0] for part in self.interface.inputs)
        target, horizon = self.target, 0
        if not self.kind.name == "reconstruct":
            target, horizon = self.interface.targets[0].channel, self.interface.targets[0].horizons[-1]
        for name, told, found in (("window", self.window, longest), ("target", self.target, target), ("horizon", self.horizon, horizon)):
            if told != found:
                raise ProtocolError(f"manifest.{name}: {told!r}, where its interface says {found!r}")
        kinds.agree(self)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        newer = ("declared", "kind", "optional", "stride", "least")
        told = {name: value for name, value in asdict(replace(self, declared=None)).items() if name not in newer}
        told = {"format": self.format, **told, "channels": [asdict(c) for c in self.channels], "layout": self.layout.to_wire()}
        if self.declared is None:
            return told
        told |= {"interface": self.declared.to_wire()}
        told |= {} if self.kind.forecasts else {"kind": self.kind.to_wire()}
        told |= {"optional": list(self.optional)} if self.optional else {}
        return told | {name: value for name, value in (("stride", self.stride), ("least", self.least)) if value != 1}

    @property
    def format(self) -> int:
        """Number of the format that says all of it."""
        return 1 if self.declared is None else 2

    @cached_property
    def interface(self) -> Interface:
        """What goes in and comes out, in either format."""
        return self.declared or self._usual()

    def _usual(self, slots: tuple[str, ...] = (), clip_norm: float = 1.0) -> Interface:
        return Interface.usual([channel.key for channel in self.channels], self.window, self.target, self.horizon, slots, clip_norm)

    @property
    def former(self) -> Manifest | None:
        """The manifest in format 1, if that can say what this task needs."""
        if (self.kind, self.optional, self.stride, self.least) != (kinds.FORECAST, (), 1, 1):
            return None
        if self.declared is None or (
            self.declared.slots in ((), SGD) and self.declared == self._usual(self.declared.slots, self.declared.clip_norm)
        ):
            return replace(self, declared=None)
        return None

    @cached_property
    def meaning(self) -> str:
        """SHA-256 of what weights mean: whatever is in the manifest but words and training defaults.

        Two graphs with one meaning can go on from each other's models, whatever the formats of their manifests.
        """
        told = {name: value for name, value in (self.former or self).to_wire().items() if name not in ("description", "config", "least")}
        if "interface" in told:
            told["interface"] = {name: value for name, value in told["interface"].items() if name not in ("slots", "clip_norm", "draws")}
        return digest(json.dumps(told, sort_keys=True).encode())


@dataclass(frozen=True)
class GraphFile:
    """A graph as it travels: the file's bytes, their digest, and what is packed in them."""

    data: bytes = field(repr=False)
    sha256: str
    manifest: Manifest
    initial: Weights = field(repr=False, compare=False)
    """Initial weights, shape (layout.size,)."""
    state: Weights = field(default_factory=lambda: np.empty(0, np.float32), repr=False, compare=False)
    """What the state begins with, shape (interface.state.size,)."""

    @property
    def flatbuffer(self) -> bytes:
        """The converted model alone, without what is packed behind it."""
        with _archive(self.data) as archive:
            return self.data[: min(item.header_offset for item in archive.infolist())]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what a client runs and of what it takes in: the flatbuffer, and the manifest but for how far ahead it forecasts.

        So a built-in task with another horizon has the fingerprint that it was released with. The initial weights are not in it;
        no client uses them.
        """
        told = self.manifest.to_wire()
        metric = {name: value for name, value in told["metric"].items() if name != "baseline"}
        told = {**{name: value for name, value in told.items() if name not in ("horizon", "description")}, "metric": metric}
        for target in told.get("interface", {}).get("targets", ()):
            del target["horizons"]  # how many they are is in its shape
        return digest(hashlib.sha256(self.flatbuffer).digest() + json.dumps(told, sort_keys=True).encode())

    @classmethod
    def pack(cls, flatbuffer: bytes, manifest: Manifest, initial: Weights, state: Weights | None = None) -> GraphFile:
        """Append manifest, weights and state to a converted model. The same input gives the same bytes."""
        former, tail = manifest.former, io.BytesIO()
        texts = {_MANIFEST: former or manifest} | ({_NEWER: manifest} if former and manifest.declared else {})
        with zipfile.ZipFile(tail, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, told in texts.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), json.dumps(told.to_wire(), indent=1, ensure_ascii=False))
            archive.writestr(zipfile.ZipInfo(_WEIGHTS, _EPOCH), codecs.encode(initial, manifest.layout, "float32"))
            if state is not None and state.size:
                archive.writestr(zipfile.ZipInfo(_STATE, _EPOCH), codecs.encode(state, manifest.interface.state, "float32"))
        return cls.read(flatbuffer + tail.getvalue())

    @classmethod
    def read(cls, data: bytes) -> GraphFile:
        """Take a graph file apart. What it says of its sizes is checked before anything is unpacked.

        Raises
        ------
        ProtocolError
            If it is not one: no archive at its end, one that is too large, a malformed manifest, two that differ, or weights or a
            state that do not fit.
        """
        with _archive(data) as archive:
            manifest = _manifest(archive, _MANIFEST)
            if _NEWER in archive.namelist():
                older, manifest = manifest, _manifest(archive, _NEWER)
                if manifest.former != older:
                    raise ProtocolError(f"graph: its {_MANIFEST} and its {_NEWER} do not say the same; export it again")
            initial, state = _vector(archive, _WEIGHTS, manifest.layout), np.empty(0, np.float32)
            if manifest.interface.state.size:
                state = _vector(archive, _STATE, manifest.interface.state)
        return cls(data, digest(data), manifest, initial, state)


def _manifest(archive: zipfile.ZipFile, name: str) -> Manifest:
    return Manifest.from_wire(json.loads(_unpacked(archive, name, LARGEST_MANIFEST)))


def _vector(archive: zipfile.ZipFile, name: str, layout: Layout) -> Weights:
    return codecs.decode(_unpacked(archive, name, codecs.encoded_size(layout, "float32")), layout, "float32")


@contextlib.contextmanager
def _archive(data: bytes) -> Iterator[zipfile.ZipFile]:
    try:
        if len(data) > LARGEST:
            raise ValueError(f"{len(data)} bytes, where {LARGEST} are the most")
        # The directory is read into memory as a whole, so its size comes first; one of zip64's would stand elsewhere.
        signature, *_, entries, size, _, comment = _END.unpack(data[-_END.size :]) if len(data) >= _END.size else (b"",) * 8
        if signature != b"PK\x05\x06" or comment or data[-42:-38] == b"PK\x06\x07":
            raise ValueError("no archive at its end")
        if entries > MOST_FILES or size > LARGEST_MANIFEST:
            raise ValueError(f"{entries} files are packed in it")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if not archive.infolist():
                raise ValueError("its archive is empty")
            yield archive
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
        raise ProtocolError(f"graph: not a graph file with a manifest ({error})") from error


def _unpacked(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    item = archive.getinfo(name)
    if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed by method {item.compress_type}")
    if item.file_size > most:
        raise ValueError(f"{name} would take {item.file_size} bytes, where {most} are the most")
    with archive.open(item) as file:
        return file.read(most + 1)  # never all at once: what an entry says of its size need not be true


def digest(data: bytes) -> str:
    """SHA-256 of a graph file, in hexadecimal: its name on the wire."""
    return hashlib.sha256(data).hexdigest()
