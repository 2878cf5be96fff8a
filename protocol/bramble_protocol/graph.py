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
from dataclasses import asdict, dataclass, field
from typing import Any

from bramble_protocol import codecs, fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import MAX_CHANNELS, Channel, TrainConfig

FORMAT = 1
LARGEST = 64 << 20
"""Bytes of a graph file; a larger one is neither fetched nor read. A Pi holds it in memory."""
LARGEST_MANIFEST = 1 << 20
"""Bytes of a manifest, unpacked: 4096 tensors with long names."""
MOST_FILES = 16
"""Files in a graph's archive."""
_MANIFEST, _WEIGHTS = "manifest.json", "weights.f32"
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
    the ``target`` channel, ``horizon`` bins after the window's last. Values enter the graph in their channels' units.

    Signatures, all float32 unless said otherwise, ``w0, w1, ...`` being the layout's tensors:

    * ``infer(x[N, window, channels], w...) -> y[N]``
    * ``evaluate(x, y[N], sw[N], w...) -> loss, error, baseline`` (scalars, weighted means by ``sw``)
    * ``train(x, y, sw, lr, w...) -> loss, next_w0, next_w1, ...``: one step
    * ``fit(x, y, idx[S, B] int32, sw[S, B], lr, mu, w...) -> loss, next_w0, next_w1, ...``: a whole local run; row s of ``idx`` picks
      minibatch s, ``sw`` masks its padding, ``mu`` is FedProx's weight of the distance to the weights that came in

    and, in graphs made since release 0.2,

    * ``fit_clipped(x, y, idx, sw, lr, mu, clip, w...)``: as ``fit``, no gradient longer than ``clip`` over all weights; ``fit`` and
      ``train`` have the task's own clip built in
    * ``doubt(x, y) -> doubt[N]``, if the task has bounds: above 1 a window cannot be true, and is not trained on
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

    @classmethod
    def from_wire(cls, value: Any) -> Manifest:
        """Read and check the JSON form.

        Raises
        ------
        ProtocolError
            Naming the first field that is missing, unknown or out of range.
        """
        names = ("format", "task", "description", "channels", "window", "step_s", "horizon", "target", "layout", "metric", "config")
        item = fields.mapping(value, "manifest", names)
        fields.integer(item["format"], "manifest.format", FORMAT, FORMAT)
        if not isinstance(item["channels"], list) or not 0 < len(item["channels"]) <= MAX_CHANNELS:
            raise ProtocolError(f"manifest.channels: expected a list of 1 to {MAX_CHANNELS} channels")
        channels = tuple(Channel.from_wire(channel) for channel in item["channels"])
        metric = fields.mapping(item["metric"], "manifest.metric", ("name", "unit", "transform", "baseline"))
        if item["target"] not in [channel.key for channel in channels]:
            raise ProtocolError(f"manifest.target: {item['target']!r} is not one of its channels")
        if metric["transform"] not in ("sqrt", "none"):
            raise ProtocolError("manifest.metric.transform: expected 'sqrt' or 'none'")
        return cls(
            task=fields.text(item["task"], "manifest.task", 63, fields.CLIENT_ID),
            description=fields.text(item["description"], "manifest.description"),
            channels=channels,
            window=fields.integer(item["window"], "manifest.window", 1, 100_000),
            step_s=fields.number(item["step_s"], "manifest.step_s", 1e-3, 1e7),
            horizon=fields.integer(item["horizon"], "manifest.horizon", 0, 100_000),
            target=item["target"],
            layout=Layout.from_wire(item["layout"]),
            metric=Metric(**{name: fields.text(text, f"manifest.metric.{name}", 200) for name, text in metric.items()}),
            config=TrainConfig.from_wire(item["config"]),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"format": FORMAT, **asdict(self), "channels": [asdict(c) for c in self.channels], "layout": self.layout.to_wire()}

    @property
    def meaning(self) -> str:
        """SHA-256 of what weights mean: whatever is in the manifest but words and training defaults.

        Two graphs with one meaning can go on from each other's models.
        """
        told = {name: value for name, value in self.to_wire().items() if name not in ("description", "config")}
        return digest(json.dumps(told, sort_keys=True).encode())


@dataclass(frozen=True)
class GraphFile:
    """A graph as it travels: the file's bytes, their digest, and what is packed in them."""

    data: bytes = field(repr=False)
    sha256: str
    manifest: Manifest
    initial: Weights = field(repr=False, compare=False)
    """Initial weights, shape (layout.size,)."""

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
        return digest(hashlib.sha256(self.flatbuffer).digest() + json.dumps(told, sort_keys=True).encode())

    @classmethod
    def pack(cls, flatbuffer: bytes, manifest: Manifest, initial: Weights) -> GraphFile:
        """Append manifest and weights to a converted model. The same input gives the same bytes."""
        tail = io.BytesIO()
        with zipfile.ZipFile(tail, "w", zipfile.ZIP_DEFLATED) as archive:
            text = json.dumps(manifest.to_wire(), indent=1, ensure_ascii=False)
            archive.writestr(zipfile.ZipInfo(_MANIFEST, _EPOCH), text)
            archive.writestr(zipfile.ZipInfo(_WEIGHTS, _EPOCH), codecs.encode(initial, "float32"))
        return cls.read(flatbuffer + tail.getvalue())

    @classmethod
    def read(cls, data: bytes) -> GraphFile:
        """Take a graph file apart. What it says of its sizes is checked before anything is unpacked.

        Raises
        ------
        ProtocolError
            If it is not one: no archive at its end, one that is too large, a malformed manifest, or weights that do not
            fit its layout.
        """
        with _archive(data) as archive:
            manifest = Manifest.from_wire(json.loads(_unpacked(archive, _MANIFEST, LARGEST_MANIFEST)))
            size = codecs.encoded_size(manifest.layout, "float32")
            initial = codecs.decode(_unpacked(archive, _WEIGHTS, size), manifest.layout, "float32")
        return cls(data, digest(data), manifest, initial)


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
