"""The messages of a round: what a client is asked to train, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bramble_protocol import codecs, fields, sections
from bramble_protocol.errors import ProtocolError, StaleError
from bramble_protocol.features import CONTROL, SECTIONS, STEPS, TRACKS
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages.attachment import Packed, attachment, decoded, sent_in_sections, vectors
from bramble_protocol.messages.extras import ANSWERING, ASKING, FIELDS, NOTHING, Extras
from bramble_protocol.messages.readings import FORECAST

MAX_SAMPLES = 10_000_000
"""More training windows than any Pi holds; a larger claim would let one client outweigh a fleet."""


FORECASTS = re.compile(rf"{fields.CHANNEL_KEY.pattern}{re.escape(FORECAST)}")
"""Keys in which no client measures."""


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
    extras: Extras = NOTHING
    """What is asked beyond plain training; in sections alone."""
    forecast: str | None = None
    """The channel in which forecasts are mirrored, where another task's have that of the target alone; only for who knows of several."""
    packed: Packed = field(default=None, repr=False, compare=False)  # type: ignore[assignment]
    """The weights as they travel: one object for all updates that ``replace`` makes of this one, as long as they have its weights."""

    def __post_init__(self) -> None:
        if self.packed is None or not self.packed.holds(self.layout, self.weights, self.encoding):
            object.__setattr__(self, "packed", Packed(self.layout, self.weights, self.encoding))

    @classmethod
    def from_wire(cls, value: Any) -> ClientUpdate:
        """Read and check the wire form, weights decoded."""
        in_sections = sent_in_sections(value)
        names = ("round", "task", "graph", "layout", "encoding", "reply_encoding", "weights", "config", *(["model"] if in_sections else []))
        item = fields.mapping(value, "client_update", names, ("forecast", *(FIELDS if in_sections else ())))
        layout = Layout.from_wire(item["layout"])
        reply = fields.text(item["reply_encoding"], "reply_encoding", 40)
        if codecs.find(reply, "reply_encoding").instead and not in_sections:
            raise ProtocolError(f"reply_encoding: {reply} travels in sections alone")
        (encoding, data), beside = vectors(item, layout, in_sections, ASKING)
        if CONTROL in beside and CONTROL not in item:
            raise ProtocolError(f"sections.{CONTROL}: the request has no field {CONTROL}")
        return cls(
            round=fields.integer(item["round"], "round", 1),
            task=fields.text(item["task"], "task", 63, fields.CLIENT_ID),
            graph=fields.text(item["graph"], "graph", 64, fields.SHA256),
            layout=layout,
            encoding=encoding,
            reply_encoding=reply,
            weights=codecs.decode(data, layout, encoding),
            config=TrainConfig.from_wire(item["config"]),
            model=fields.text(item["model"], "model", 16, fields.MODEL) if in_sections else None,
            extras=Extras.from_wire(item, decoded(beside, layout)) if in_sections else NOTHING,
            forecast=fields.text(item["forecast"], "forecast", fields.LONGEST_KEY, FORECASTS) if "forecast" in item else None,
        )

    def pack(self, features: Collection[str] = ()) -> tuple[bytes, str | None]:
        """Make what takes its time of the wire form for a client of these features; what was made once is there the next time."""
        return self.packed.form(SECTIONS in features, self._asked_beside(features).vectors)

    def is_packed(self, features: Collection[str] = ()) -> bool:
        """Whether the wire form for a client of these features takes no time."""
        return self.packed.made(SECTIONS in features, self._asked_beside(features).vectors)

    def to_wire(self, features: Collection[str] = ()) -> dict[str, Any]:
        """Return the wire form for a client of these features, weights encoded; without any it is that of version 1.

        One that does not know all that is asked beyond plain training is asked for plain training.
        """
        in_sections = SECTIONS in features
        data, model = self.pack(features)
        return {
            "round": self.round,
            "task": self.task,
            "graph": self.graph,
            "layout": self.layout.to_wire(),
            "encoding": sections.ENCODING if in_sections else self.encoding,
            "reply_encoding": codecs.spoken(self.reply_encoding, features if in_sections else ()),
            "weights": data,
            "config": asdict(self.config),
            **({"model": model} if model else {}),
            **self._asked_beside(features).to_wire(),
            **({"forecast": self.forecast} if self.forecast is not None and TRACKS in features else {}),
        }

    def _asked_beside(self, features: Collection[str]) -> Extras:
        return self.extras if self.extras is NOTHING or {SECTIONS, *self.extras.features} <= set(features) else NOTHING

    @property
    def base(self) -> Weights:
        """See :attr:`Packed.base`."""
        return self.packed.base

    @property
    def digest(self) -> str:
        """See :attr:`Packed.digest`."""
        return self.packed.digest


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
    """Size of the weights, and of what came with them, on the wire; filled in by ``from_wire``."""
    steps: int | None = None
    """Steps that the client took, where it was asked."""
    since: int | None = None
    """The round whose control it began with, where it keeps one."""
    sections: Mapping[str, Weights] = field(default_factory=dict, repr=False)
    """The vectors beside the weights that it was asked for, by name."""
    seed: str = ""
    """Of what the encoding draws while it rounds; it is not sent."""

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
            "weights": attachment(
                in_sections, self.layout, self.weights, self.encoding, asked.base if asked else None, self.sections, self.seed
            ),
            "samples": self.samples,
            "metrics": dict(self.metrics),
            "timing": asdict(self.timing),
            **{name: told for name, told in ((STEPS, self.steps), ("since", self.since)) if in_sections and told is not None},
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
    steps: int | None = None
    since: int | None = None
    beside: Mapping[str, sections.Section] = field(default_factory=dict, repr=False)
    """What came with the weights."""

    @classmethod
    def from_wire(cls, value: Any, layout: Layout) -> Delivery:
        """Read the wire form and check it against the layout that was asked for.

        The layout, or the sizes of the sections, are compared before a byte of the weights is read, so a lying one costs nothing.
        """
        in_sections = sent_in_sections(value)
        names = ("round", "model" if in_sections else "layout", "encoding", "weights", "samples", "metrics", "timing")
        item = fields.mapping(value, "training_complete", names, (STEPS, "since") if in_sections else ())
        number = fields.integer(item["round"], "round", 1)
        if not in_sections and item["layout"] != layout.to_wire():
            given = Layout.from_wire(item["layout"])
            raise ProtocolError(f"layout: {given.size} parameters in {len(given.tensors)} tensors are not this task's model")
        (encoding, data), beside = vectors(item, layout, in_sections, ANSWERING)
        return cls(
            round=number,
            layout=layout,
            encoding=encoding,
            data=data,
            samples=fields.integer(item["samples"], "samples", 1, MAX_SAMPLES),
            metrics=fields.numbers(item["metrics"], "metrics"),
            timing=Timing.from_wire(item["timing"]),
            model=fields.text(item["model"], "model", 16, fields.MODEL) if in_sections else None,
            steps=fields.optional(fields.integer, item.get(STEPS), STEPS, low=1),
            since=fields.optional(fields.integer, item.get("since"), "since"),
            beside=beside,
        )

    @property
    def nbytes(self) -> int:
        """Size of the weights, and of what came with them, on the wire."""
        return codecs.encoded_size(self.layout, self.encoding) + sum(section.data.nbytes for section in self.beside.values())

    def open(self, asked: ClientUpdate | None = None) -> TrainingComplete:
        """Return it with its weights decoded.

        Raises
        ------
        StaleError
            If it was trained from others than those that were asked to be trained from.
        ProtocolError
            If it does not bring what was asked for, or more, or its weights cannot be decoded.
        """
        if asked and self.model is not None and self.model != asked.digest:
            raise StaleError(f"round over: model {self.model} is not the one that round {asked.round} began with")
        plain = self.steps is None and self.since is None and not self.beside
        if asked and not (plain and asked.extras is NOTHING):
            self._answers(asked)
        weights = codecs.decode(self.data, self.layout, self.encoding, asked.base if asked else None)
        return TrainingComplete(
            self.round, self.layout, self.encoding, weights, self.samples, self.metrics, self.timing, self.nbytes,
            self.steps, self.since, decoded(self.beside, self.layout),
        )  # fmt: skip

    def _answers(self, asked: ClientUpdate) -> None:
        """Check that it brings all that was asked for beyond plain training, and nothing else."""
        extras, config = asked.extras, asked.config
        brought = {STEPS: self.steps is not None, "since": self.since is not None, **dict.fromkeys(self.beside, True)}
        wanted = {STEPS: extras.steps, "since": extras.control is not None, **dict.fromkeys(extras.answered, True)}
        for name in (*wanted, *brought):
            if wanted.get(name, False) != brought.get(name, False):
                raise ProtocolError(f"{name}: {'missing, and was asked for' if wanted.get(name) else 'was not asked for'}")
        most = config.epochs * -(-self.samples // config.batch_size)
        if self.steps is not None and self.steps > most:
            raise ProtocolError(f"steps: {self.steps} are more than the {most} that {config.epochs} epochs of {self.samples} windows take")


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
