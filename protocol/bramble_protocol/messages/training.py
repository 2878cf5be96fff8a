"""The messages of a round: what a client is asked to train, and what it answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bramble_protocol import codecs, fields, sections
from bramble_protocol.errors import ProtocolError, StaleError
from bramble_protocol.features import SECTIONS
from bramble_protocol.layout import Layout, Weights

MAX_SAMPLES = 10_000_000
"""More training windows than any Pi holds; a larger claim would let one client outweigh a fleet."""


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
    model: str | None = None
    """What the server calls these weights, where they came in sections: the answer repeats it, and comes in sections too."""

    @classmethod
    def from_wire(cls, value: Any) -> ClientUpdate:
        """Read and check the wire form, weights decoded."""
        in_sections = _in_sections(value)
        names = ("round", "task", "graph", "layout", "encoding", "reply_encoding", "weights", "config", *(["model"] if in_sections else []))
        item = fields.mapping(value, "client_update", names)
        layout = Layout.from_wire(item["layout"])
        reply = fields.text(item["reply_encoding"], "reply_encoding", 40)
        codecs.find(reply, "reply_encoding")
        encoding, data = _vector(item, layout, in_sections)
        return cls(
            round=fields.integer(item["round"], "round", 1),
            task=fields.text(item["task"], "task", 63),
            graph=fields.text(item["graph"], "graph", 64, fields.SHA256),
            layout=layout,
            encoding=encoding,
            reply_encoding=reply,
            weights=codecs.decode(data, layout, encoding),
            config=TrainConfig.from_wire(item["config"]),
            model=fields.text(item["model"], "model", 16, fields.MODEL) if in_sections else None,
        )

    def to_wire(self, features: Collection[str] = ()) -> dict[str, Any]:
        """Return the wire form for a client of these features, weights encoded; without any it is that of version 1."""
        in_sections = SECTIONS in features
        return {
            "round": self.round,
            "task": self.task,
            "graph": self.graph,
            "layout": self.layout.to_wire(),
            "encoding": sections.ENCODING if in_sections else self.encoding,
            "reply_encoding": codecs.spoken(self.reply_encoding, features if in_sections else ()),
            "weights": _attachment(in_sections, self.weights, self.encoding),
            "config": asdict(self.config),
            **({"model": self.digest} if in_sections else {}),
        }

    @cached_property
    def base(self) -> Weights:
        """The weights as a client has them, shape (layout.size,): the base of an answer that says how far it moved from them."""
        if self.encoding == "float32":
            return self.weights
        return codecs.decode(codecs.encode(self.weights, self.encoding), self.layout, self.encoding)

    @cached_property
    def digest(self) -> str:
        """What tells these weights from any others, as a client has them: a round's number does not, where a server began anew."""
        known = hashlib.sha256(json.dumps(self.layout.to_wire(), separators=(",", ":")).encode())
        known.update(np.ascontiguousarray(self.base, "<f4").data)
        return known.hexdigest()[:16]


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
        return cls(**{name: fields.number(item[name], f"timing.{name}", 0, fields.YEAR_3000) for name in item})


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
    def from_wire(cls, value: Any, layout: Layout, asked: ClientUpdate | None = None) -> TrainingComplete:
        """Read and check the wire form, weights decoded; ``asked`` is what it answers, which an answer in sections needs."""
        return Delivery.from_wire(value, layout).open(asked)

    def to_wire(self, asked: ClientUpdate | None = None) -> dict[str, Any]:
        """Return the wire form that fits the question, weights encoded; without one it is that of version 1."""
        in_sections = asked is not None and asked.model is not None
        return {
            "round": self.round,
            **({"model": asked.model} if asked and in_sections else {"layout": self.layout.to_wire()}),
            "encoding": sections.ENCODING if in_sections else self.encoding,
            "weights": _attachment(in_sections, self.weights, self.encoding, asked.base if asked else None),
            "samples": self.samples,
            "metrics": dict(self.metrics),
            "timing": asdict(self.timing),
        }


@dataclass(frozen=True)
class Delivery:
    """A ``training_complete`` as it came: its fields and sizes are checked, its weights are not decoded yet, which takes its time."""

    round: int
    layout: Layout
    encoding: str
    data: Any = field(repr=False)
    samples: int
    metrics: Mapping[str, float]
    timing: Timing
    model: str | None = None
    """What its weights were trained from, where they came in sections."""

    @classmethod
    def from_wire(cls, value: Any, layout: Layout) -> Delivery:
        """Read the wire form and check it against the layout that was asked for.

        The layout, or the sizes of the sections, are compared before a byte of the weights is read, so a lying one costs nothing.
        """
        in_sections = _in_sections(value)
        names = ("round", "model" if in_sections else "layout", "encoding", "weights", "samples", "metrics", "timing")
        item = fields.mapping(value, "training_complete", names)
        number = fields.integer(item["round"], "round", 1)
        if not in_sections and item["layout"] != layout.to_wire():
            given = Layout.from_wire(item["layout"])
            raise ProtocolError(f"layout: {given.size} parameters in {len(given.tensors)} tensors are not this task's model")
        encoding, data = _vector(item, layout, in_sections)
        return cls(
            round=number,
            layout=layout,
            encoding=encoding,
            data=data,
            samples=fields.integer(item["samples"], "samples", 1, MAX_SAMPLES),
            metrics=fields.numbers(item["metrics"], "metrics"),
            timing=Timing.from_wire(item["timing"]),
            model=fields.text(item["model"], "model", 16, fields.MODEL) if in_sections else None,
        )

    @property
    def nbytes(self) -> int:
        """Size of the weights on the wire."""
        return codecs.encoded_size(self.layout, self.encoding)

    def open(self, asked: ClientUpdate | None = None) -> TrainingComplete:
        """Return it with its weights decoded.

        Raises
        ------
        StaleError
            If it was trained from others than those that were asked to be trained from.
        EncodingError
            If its weights cannot be decoded.
        """
        if asked and self.model is not None and self.model != asked.digest:
            raise StaleError(f"round over: model {self.model} is not the one that round {asked.round} began with")
        weights = codecs.decode(self.data, self.layout, self.encoding, asked.base if asked else None)
        return TrainingComplete(
            self.round, self.layout, self.encoding, weights, self.samples, self.metrics, self.timing, nbytes=self.nbytes
        )


def _in_sections(value: Any) -> bool:
    return isinstance(value, dict) and value.get("encoding") == sections.ENCODING


def _attachment(in_sections: bool, weights: Weights, encoding: str, base: Weights | None = None) -> bytes:
    if not in_sections:
        return codecs.encode(weights, encoding, base)
    return sections.pack([("weights", encoding, codecs.numbers(weights, encoding, base).data)])


def _vector(item: dict[str, Any], layout: Layout, in_sections: bool) -> tuple[str, Any]:
    """Return the encoding and the bytes of a message's weights, their number checked and none of them read."""
    encoding, data = item["encoding"], item["weights"]
    if in_sections:
        encoding, data = sections.unpack(data, ("weights",))["weights"]
    elif codecs.find(encoding).based:
        raise ProtocolError(f"encoding: {encoding} travels in sections alone")
    codecs.fits(data, layout, encoding)
    return encoding, data


@dataclass(frozen=True)
class TrainingFailed:
    """Client to server: it could not, or would not, train for a round, and why."""

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
