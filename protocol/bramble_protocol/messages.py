"""The messages of the contract as frozen dataclasses.

``from_wire`` is strict: a missing, unknown, mistyped or absurd field raises ``ProtocolError`` naming it.
``to_wire`` returns what Socket.IO sends. Times are seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bramble_protocol import codecs, fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.layout import Layout, Weights

MAX_SAMPLES = 10_000_000
"""More training windows than any Pi holds; a larger claim would let one client outweigh a fleet."""
MAX_READINGS = 10_000
"""Readings of one channel in one message; a longer stretch is sent in parts."""
MAX_CHANNELS = 64
MAX_FEATURES = 64
NOTICES = ("channels", "name")
"""What a server's notice may be about: channels that do not fit the task, a name that two clients have."""
YEAR_3000 = 32_503_680_000.0


@dataclass(frozen=True)
class Channel:
    """A channel that a client offers: its key and its unit, for instance ``temperature`` in ``°C``."""

    key: str
    unit: str

    @classmethod
    def from_wire(cls, value: Any) -> Channel:
        """Read and check the wire form."""
        item = fields.mapping(value, "channel", ("key", "unit"))
        return cls(fields.text(item["key"], "channel.key", 63, fields.CHANNEL_KEY), fields.label(item["unit"], "channel.unit", 20))


@dataclass(frozen=True)
class Handshake:
    """What a client says of itself when it connects."""

    protocol: int
    client_id: str
    token: str | None = field(default=None, repr=False)
    simulated: bool = False
    channels: tuple[Channel, ...] = ()
    version: str = ""
    features: tuple[str, ...] = ()
    """What it can do beyond the contract's first version, by name; a name that the server does not know means nothing to it."""
    instance: str = ""
    """Random for each process, so that two clients with one id can be told from one that came back."""

    @classmethod
    def from_wire(cls, value: Any) -> Handshake:
        """Read and check the wire form. Whether the version and the token are good is the server's question."""
        since_2 = ("features", "instance") if isinstance(value, dict) and value.get("protocol") != 1 else ()
        item = fields.mapping(value, "handshake", ("protocol", "client_id"), ("token", "simulated", "channels", "version", *since_2))
        channels, features = item.get("channels", []), item.get("features", [])
        if not isinstance(channels, list) or len(channels) > MAX_CHANNELS:
            raise ProtocolError(f"channels: expected a list of at most {MAX_CHANNELS}")
        if not isinstance(features, list) or len(features) > MAX_FEATURES:
            raise ProtocolError(f"features: expected a list of at most {MAX_FEATURES} names")
        return cls(
            protocol=fields.integer(item["protocol"], "protocol", 0, 10**6),
            client_id=fields.text(item["client_id"], "client_id", 63, fields.CLIENT_ID),
            token=fields.optional(fields.text, item.get("token"), "token"),
            simulated=fields.flag(item.get("simulated", False), "simulated"),
            channels=tuple(Channel.from_wire(channel) for channel in channels),
            version=fields.label(item.get("version", ""), "version", 40),
            features=tuple(fields.text(name, "features", 63, fields.FEATURE) for name in features),
            instance=fields.text(item.get("instance", ""), "instance", 64, fields.INSTANCE),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form; a handshake of version 1 has the fields of that version."""
        wire = {**asdict(self), "channels": [asdict(channel) for channel in self.channels], "features": list(self.features)}
        return {name: value for name, value in wire.items() if self.protocol != 1 or name not in ("features", "instance")}


@dataclass(frozen=True)
class TrainConfig:
    """How a client trains in one round."""

    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 0.01
    seed: int = 0
    proximal_mu: float = 0.0
    """FedProx's mu (Li et al. 2020, eq. 2); 0 is plain FedAvg."""
    deadline_s: float = 60.0
    """Seconds from sending until the server closes the round."""

    @classmethod
    def from_wire(cls, value: Any) -> TrainConfig:
        """Read and check the wire form."""
        names = ("epochs", "batch_size", "learning_rate", "seed", "proximal_mu", "deadline_s")
        item = fields.mapping(value, "config", names)
        return cls(
            epochs=fields.integer(item["epochs"], "config.epochs", 1, 1000),
            batch_size=fields.integer(item["batch_size"], "config.batch_size", 1, 65536),
            learning_rate=fields.number(item["learning_rate"], "config.learning_rate", 0, 1000),
            seed=fields.integer(item["seed"], "config.seed", 0, 2**31 - 1),
            proximal_mu=fields.number(item["proximal_mu"], "config.proximal_mu", 0, 1e6),
            deadline_s=fields.number(item["deadline_s"], "config.deadline_s", 0, 1e7),
        )


@dataclass(frozen=True)
class ClientUpdate:
    """Server to client: train from these weights."""

    round: int
    task: str
    graph: str
    layout: Layout
    encoding: str
    reply_encoding: str
    weights: Weights = field(repr=False)
    config: TrainConfig

    @classmethod
    def from_wire(cls, value: Any) -> ClientUpdate:
        """Read and check the wire form, weights decoded."""
        names = ("round", "task", "graph", "layout", "encoding", "reply_encoding", "weights", "config")
        item = fields.mapping(value, "client_update", names)
        layout = Layout.from_wire(item["layout"])
        reply = fields.text(item["reply_encoding"], "reply_encoding", 40)
        codecs.encoded_size(layout, reply)
        return cls(
            round=fields.integer(item["round"], "round", 1),
            task=fields.text(item["task"], "task", 63),
            graph=fields.text(item["graph"], "graph", 64, fields.SHA256),
            layout=layout,
            encoding=fields.text(item["encoding"], "encoding", 40),
            reply_encoding=reply,
            weights=codecs.decode(item["weights"], layout, item["encoding"]),
            config=TrainConfig.from_wire(item["config"]),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form, weights encoded."""
        return {
            "round": self.round,
            "task": self.task,
            "graph": self.graph,
            "layout": self.layout.to_wire(),
            "encoding": self.encoding,
            "reply_encoding": self.reply_encoding,
            "weights": codecs.encode(self.weights, self.encoding),
            "config": asdict(self.config),
        }


@dataclass(frozen=True)
class Timing:
    """When a client received the model, started and ended training, by its own clock."""

    received: float
    train_start: float
    train_end: float

    @classmethod
    def from_wire(cls, value: Any) -> Timing:
        """Read and check the wire form."""
        item = fields.mapping(value, "timing", ("received", "train_start", "train_end"))
        return cls(**{name: fields.number(item[name], f"timing.{name}", 0, YEAR_3000) for name in item})


@dataclass(frozen=True)
class TrainingComplete:
    """Client to server: the result of one local training run."""

    round: int
    layout: Layout
    encoding: str
    weights: Weights = field(repr=False)
    samples: int
    metrics: Mapping[str, float]
    timing: Timing
    nbytes: int = 0
    """Size of the weights on the wire; filled in by ``from_wire``."""

    @classmethod
    def from_wire(cls, value: Any, layout: Layout) -> TrainingComplete:
        """Read and check the wire form against the layout that was asked for.

        The layout is compared before a byte of the weights is read, so a lying one costs nothing.
        """
        names = ("round", "layout", "encoding", "weights", "samples", "metrics", "timing")
        item = fields.mapping(value, "training_complete", names)
        number = fields.integer(item["round"], "round", 1)
        if item["layout"] != layout.to_wire():
            given = Layout.from_wire(item["layout"])
            raise ProtocolError(f"layout: {given.size} parameters in {len(given.tensors)} tensors are not this task's model")
        weights = codecs.decode(item["weights"], layout, item["encoding"])
        return cls(
            round=number,
            layout=layout,
            encoding=item["encoding"],
            weights=weights,
            samples=fields.integer(item["samples"], "samples", 1, MAX_SAMPLES),
            metrics=fields.numbers(item["metrics"], "metrics"),
            timing=Timing.from_wire(item["timing"]),
            nbytes=codecs.encoded_size(layout, item["encoding"]),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form, weights encoded."""
        return {
            "round": self.round,
            "layout": self.layout.to_wire(),
            "encoding": self.encoding,
            "weights": codecs.encode(self.weights, self.encoding),
            "samples": self.samples,
            "metrics": dict(self.metrics),
            "timing": asdict(self.timing),
        }


@dataclass(frozen=True)
class TrainingFailed:
    """Client to server: an honest no, with its reason."""

    round: int
    reason: str

    @classmethod
    def from_wire(cls, value: Any) -> TrainingFailed:
        """Read and check the wire form."""
        item = fields.mapping(value, "training_failed", ("round", "reason"))
        return cls(fields.integer(item["round"], "round", 1), fields.text(item["reason"], "reason"))

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return asdict(self)


@dataclass(frozen=True)
class GenerateData:
    """Server to all: take one synchronised batch of readings (evaluation mode only)."""

    cycle: int
    t: float
    step: float
    count: int

    @classmethod
    def from_wire(cls, value: Any) -> GenerateData:
        """Read and check the wire form."""
        item = fields.mapping(value, "generate_data", ("cycle", "t", "step", "count"))
        return cls(
            cycle=fields.integer(item["cycle"], "cycle", 1),
            t=fields.number(item["t"], "t", 0, YEAR_3000),
            step=fields.number(item["step"], "step", 1e-3, 1e7),
            count=fields.integer(item["count"], "count", 1, MAX_READINGS),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return asdict(self)


@dataclass(frozen=True)
class Notice:
    """Server to one client, since version 2: what a person who reads this client's log should know. Nothing is to be done by itself."""

    about: str
    """One of ``NOTICES``."""
    sentence: str

    @classmethod
    def from_wire(cls, value: Any) -> Notice:
        """Read and check the wire form."""
        item = fields.mapping(value, "notice", ("about", "sentence"))
        about, sentence = item["about"], fields.text(item["sentence"], "notice.sentence")
        if about not in NOTICES or not sentence.isprintable():
            raise ProtocolError(f"notice: expected a printable sentence about one of {', '.join(NOTICES)}")
        return cls(about, sentence)

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return asdict(self)


@dataclass(frozen=True)
class Column:
    """One channel's values; ``None`` stands for a reading that failed."""

    unit: str
    value: tuple[float | None, ...]


@dataclass(frozen=True)
class DataUpdate:
    """Client to server: readings mirrored for the inspector (evaluation mode only), one column a channel."""

    cycle: int | None
    t: tuple[float, ...]
    channels: Mapping[str, Column]

    @classmethod
    def from_wire(cls, value: Any) -> DataUpdate:
        """Read and check the wire form."""
        item = fields.mapping(value, "data_update", ("cycle", "t", "channels"))
        times, columns = item["t"], item["channels"]
        if not isinstance(times, list) or not 0 < len(times) <= MAX_READINGS:
            raise ProtocolError(f"t: expected a list of 1 to {MAX_READINGS} times")
        if not isinstance(columns, dict) or not 0 < len(columns) <= MAX_CHANNELS:
            raise ProtocolError(f"channels: expected an object of 1 to {MAX_CHANNELS} channels")
        stamps = tuple(fields.number(t, f"t[{i}]", 0, YEAR_3000) for i, t in enumerate(times))
        if any(later <= earlier for earlier, later in itertools.pairwise(stamps)):
            raise ProtocolError("t: expected times that increase")
        return cls(
            cycle=fields.optional(fields.integer, item["cycle"], "cycle", low=1),
            t=stamps,
            channels={
                fields.text(key, "channel", 63, fields.CHANNEL_KEY): _column(column, key, len(stamps)) for key, column in columns.items()
            },
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        channels = {key: {"unit": column.unit, "value": list(column.value)} for key, column in self.channels.items()}
        return {"cycle": self.cycle, "t": list(self.t), "channels": channels}


def _column(value: Any, key: str, length: int) -> Column:
    item = fields.mapping(value, f"channels.{key}", ("unit", "value"))
    values = item["value"]
    if not isinstance(values, list) or len(values) != length:
        raise ProtocolError(f"channels.{key}.value: expected {length} values, one for each t")
    return Column(
        unit=fields.label(item["unit"], f"channels.{key}.unit", 20),
        value=tuple(fields.optional(fields.number, item, f"channels.{key}[{i}]") for i, item in enumerate(values)),
    )
