"""The messages of a round: what a client is asked to train, and what it answers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bramble_protocol import codecs, fields, sections
from bramble_protocol.errors import ProtocolError, StaleError
from bramble_protocol.features import CHAMPION, CONTROL, COUNTS, SECTIONS, SECURE, STEPS, TRACKS
from bramble_protocol.kinds import Counts, counts_from_wire
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages.champion import Champion
from bramble_protocol.messages.extras import ANSWERING, ASKING, FIELDS, NOTHING, Extras
from bramble_protocol.messages.readings import FORECAST
from bramble_protocol.messages.secure_terms import SecureTerms
from bramble_protocol.messages.train_config import TrainConfig

MAX_SAMPLES = 10_000_000
"""More training windows than any Pi holds; a larger claim would let one client outweigh a fleet."""


FORECASTS = re.compile(rf"{fields.CHANNEL_KEY.pattern}{re.escape(FORECAST)}")
"""Keys in which no client measures."""


class Packed:
    """A model as it travels: each form of it is made once, however many clients are sent it and however each of them is to train.

    Parameters
    ----------
    layout, weights, encoding
        The model, shape (layout.size,), and how it is encoded.
    """

    def __init__(self, layout: Layout, weights: Weights, encoding: str) -> None:
        self.layout, self.weights, self.encoding = layout, weights, encoding
        self._made: dict[tuple[Any, ...], tuple[bytes, Mapping[str, Weights]]] = {}

    def holds(self, layout: Layout, weights: Weights, encoding: str) -> bool:
        """Whether this is a model in an encoding."""
        return self.weights is weights and (self.layout, self.encoding) == (layout, encoding)

    def form(self, in_sections: bool, beside: Mapping[str, Weights]) -> tuple[bytes, str | None]:
        """Return the bytes that go to a client, with these vectors beside the weights, and in sections what the weights are called.

        What was not asked for before takes its time: a model is encoded, and hashed.
        """
        which = _which(in_sections, beside)
        if which not in self._made:  # the vectors are kept, so that no other array gets their identity
            self._made[which] = _attachment(in_sections, self.layout, self.weights, self.encoding, beside=beside), dict(beside)
        return self._made[which][0], self.digest if in_sections else None

    def let_go(self) -> None:
        """Forget the forms that were made; they are made again where they are asked for."""
        self._made.clear()

    def made(self, in_sections: bool, beside: Mapping[str, Weights]) -> bool:
        """Whether these bytes are there already."""
        return _which(in_sections, beside) in self._made

    @cached_property
    def base(self) -> Weights:
        """The weights as a client has them, shape (layout.size,): the base of an answer that says how far it moved from them."""
        if self.encoding == "float32":
            return self.weights
        return codecs.decode(codecs.encode(self.weights, self.layout, self.encoding), self.layout, self.encoding)

    @cached_property
    def digest(self) -> str:
        """What tells these weights from any others, as a client has them: a round's number does not, where a server began anew."""
        known = hashlib.sha256(json.dumps(self.layout.to_wire(), separators=(",", ":")).encode())
        known.update(np.ascontiguousarray(self.base, "<f4").data)
        return known.hexdigest()[:16]


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
    champion: Champion | None = None
    """The best model so far, where it is another than this one; in sections alone."""
    abandoned: tuple[int, ...] = ()
    """In which rounds the client was asked for answers that came to nothing, and left nothing for this one; only where not all of an
    answer is sent."""
    secure: SecureTerms | None = None
    """On what terms the answer is masked, so that it can be read in a sum alone; only for who knows of it."""
    packed: Packed = field(default=None, repr=False, compare=False)  # type: ignore[assignment]
    """The weights as they travel: one object for all updates that ``replace`` makes of this one, as long as they have its weights."""

    def __post_init__(self) -> None:
        if self.packed is None or not self.packed.holds(self.layout, self.weights, self.encoding):
            object.__setattr__(self, "packed", Packed(self.layout, self.weights, self.encoding))

    @classmethod
    def from_wire(cls, value: Any) -> ClientUpdate:
        """Read and check the wire form, weights decoded."""
        in_sections = _in_sections(value)
        names = ("round", "task", "graph", "layout", "encoding", "reply_encoding", "weights", "config", *(["model"] if in_sections else []))
        optional = ("forecast", SECURE, *((*FIELDS, CHAMPION, "abandoned") if in_sections else ()))
        item = fields.mapping(value, "client_update", names, optional)
        layout = Layout.from_wire(item["layout"])
        reply = fields.text(item["reply_encoding"], "reply_encoding", 40)
        if codecs.find(reply, "reply_encoding").instead and not in_sections:
            raise ProtocolError(f"reply_encoding: {reply} travels in sections alone")
        (encoding, data), beside = _vectors(item, layout, in_sections, (*ASKING, CHAMPION))
        for name in (CONTROL, CHAMPION):
            if name in beside and name not in item:
                raise ProtocolError(f"sections.{name}: the request has no field {name}")
        if CHAMPION in item and CHAMPION not in beside:
            raise ProtocolError(f"{CHAMPION}: the request has no section of that name")
        others = _decoded(beside, layout)
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
            extras=Extras.from_wire(item, others) if in_sections else NOTHING,
            forecast=fields.text(item["forecast"], "forecast", fields.LONGEST_KEY, FORECASTS) if "forecast" in item else None,
            secure=SecureTerms.from_wire(item[SECURE]) if SECURE in item else None,
            abandoned=fields.integers(item.get("abandoned", []), "abandoned", 1),
            champion=Champion(fields.integer(item[CHAMPION], CHAMPION, 1), others[CHAMPION]) if CHAMPION in item else None,
        )

    def pack(self, features: Collection[str] = ()) -> tuple[bytes, str | None]:
        """Make what takes its time of the wire form for a client of these features; what was made once is there the next time."""
        return self.packed.form(SECTIONS in features, self._beside(features))

    def is_packed(self, features: Collection[str] = ()) -> bool:
        """Whether the wire form for a client of these features takes no time."""
        return self.packed.made(SECTIONS in features, self._beside(features))

    def to_wire(self, features: Collection[str] = ()) -> dict[str, Any]:
        """Return the wire form for a client of these features, weights encoded; without any it is that of version 1.

        One that does not know all that is asked beyond plain training is asked for plain training.
        """
        in_sections = SECTIONS in features
        data, model = self.pack(features)
        reply = codecs.spoken(self.reply_encoding, features if in_sections else ())
        return {
            "round": self.round,
            "task": self.task,
            "graph": self.graph,
            "layout": self.layout.to_wire(),
            "encoding": sections.ENCODING if in_sections else self.encoding,
            "reply_encoding": reply,
            "weights": data,
            "config": dict(vars(self.config)),
            **({"model": model} if model else {}),
            **self._asked_beside(features).to_wire(),
            **({"forecast": self.forecast} if self.forecast is not None and TRACKS in features else {}),
            **({SECURE: self.secure.to_wire()} if self.secure and SECURE in features else {}),
            **({"abandoned": list(self.abandoned)} if self.abandoned and codecs.find(reply).partial else {}),
            **({CHAMPION: self.champion.round} if self.champion and self._brings_champion(features) else {}),
        }

    def _brings_champion(self, features: Collection[str]) -> bool:
        return self.champion is not None and {SECTIONS, CHAMPION} <= set(features)

    def _beside(self, features: Collection[str]) -> dict[str, Weights]:
        """Return the vectors that go with the weights to a client of these features, by section."""
        champion = {CHAMPION: self.champion.weights} if self.champion and self._brings_champion(features) else {}
        return {**self._asked_beside(features).vectors, **champion}

    def _asked_beside(self, features: Collection[str]) -> Extras:
        return self.extras if self.extras is NOTHING or {SECTIONS, *self.extras.features} <= set(features) else NOTHING

    @property
    def best(self) -> Weights:
        """The weights that a client uses for what it tells of the future: the champion's, or these where they are the champion's."""
        return self.champion.weights if self.champion else self.weights

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
    counts: Counts | None = None
    """What it counted, where it was asked."""
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
            "weights": _attachment(
                in_sections, self.layout, self.weights, self.encoding, asked.base if asked else None, self.sections, self.seed
            ),
            "samples": self.samples,
            "metrics": dict(self.metrics),
            "timing": dict(vars(self.timing)),
            **{name: told for name, told in ((STEPS, self.steps), ("since", self.since)) if in_sections and told is not None},
            **({COUNTS: {name: list(vector) for name, vector in self.counts.items()}} if in_sections and self.counts is not None else {}),
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
    counts: Counts | None = None

    @classmethod
    def from_wire(cls, value: Any, layout: Layout) -> Delivery:
        """Read the wire form and check it against the layout that was asked for.

        The layout, or the sizes of the sections, are compared before a byte of the weights is read, so a lying one costs nothing.
        """
        in_sections = _in_sections(value)
        names = ("round", "model" if in_sections else "layout", "encoding", "weights", "samples", "metrics", "timing")
        item = fields.mapping(value, "training_complete", names, (STEPS, "since", COUNTS) if in_sections else ())
        number = fields.integer(item["round"], "round", 1)
        if not in_sections and item["layout"] != layout.to_wire():
            given = Layout.from_wire(item["layout"])
            raise ProtocolError(f"layout: {given.size} parameters in {len(given.tensors)} tensors are not this task's model")
        (encoding, data), beside = _vectors(item, layout, in_sections, ANSWERING)
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
            counts=counts_from_wire(item[COUNTS]) if COUNTS in item else None,
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
        plain = self.steps is None and self.since is None and self.counts is None and not self.beside
        if asked and not (plain and asked.extras is NOTHING):
            self._answers(asked)
        weights = codecs.decode(self.data, self.layout, self.encoding, asked.base if asked else None)
        return TrainingComplete(
            self.round, self.layout, self.encoding, weights, self.samples, self.metrics, self.timing, self.nbytes,
            self.steps, self.since, _decoded(self.beside, self.layout), self.counts,
        )  # fmt: skip

    def _answers(self, asked: ClientUpdate) -> None:
        """Check that it brings all that was asked for beyond plain training, and nothing else."""
        extras, config = asked.extras, asked.config
        brought = {STEPS: self.steps is not None, "since": self.since is not None, COUNTS: self.counts is not None}
        brought |= dict.fromkeys(self.beside, True)
        wanted = {STEPS: extras.steps, "since": extras.control is not None, COUNTS: extras.counts, **dict.fromkeys(extras.answered, True)}
        for name in (*wanted, *brought):
            if wanted.get(name, False) != brought.get(name, False):
                raise ProtocolError(f"{name}: {'missing, and was asked for' if wanted.get(name) else 'was not asked for'}")
        most = config.epochs * -(-self.samples // config.batch_size)
        if self.steps is not None and self.steps > most:
            raise ProtocolError(f"steps: {self.steps} are more than the {most} that {config.epochs} epochs of {self.samples} windows take")


def _in_sections(value: Any) -> bool:
    return isinstance(value, dict) and value.get("encoding") == sections.ENCODING


def _which(in_sections: bool, beside: Mapping[str, Weights]) -> tuple[Any, ...]:
    return (in_sections, *((name, id(vector)) for name, vector in beside.items()))


def _attachment(
    in_sections: bool, layout: Layout, weights: Weights, encoding: str, base: Weights | None = None,
    beside: Mapping[str, Weights] | None = None, seed: str = "",
) -> bytes:  # fmt: skip
    if not in_sections:
        return codecs.encode(weights, layout, encoding, base, seed=seed)
    plain = codecs.plain(encoding)
    others = [(name, plain, codecs.numbers(vector, layout, plain, what=name).data) for name, vector in (beside or {}).items()]
    return sections.pack([("weights", encoding, codecs.numbers(weights, layout, encoding, base, seed=seed).data), *others])


def _vectors(
    item: dict[str, Any], layout: Layout, in_sections: bool, others: Sequence[str]
) -> tuple[tuple[str, Any], dict[str, sections.Section]]:
    """Return encoding and bytes of a message's weights, and of what may come with them; their number is checked and none of them read."""
    if not in_sections:
        if codecs.find(item["encoding"]).instead:
            raise ProtocolError(f"encoding: {item['encoding']} travels in sections alone")
        codecs.fits(item["weights"], layout, item["encoding"])
        return (item["encoding"], item["weights"]), {}
    found = sections.unpack(item["weights"], ("weights", *others))
    if "weights" not in found:
        raise ProtocolError("sections: there is no section weights")
    for name, (encoding, data) in found.items():
        if name != "weights" and codecs.find(encoding, f"sections.{name}").instead:
            raise ProtocolError(f"sections.{name}: only weights travel as {encoding}")
        codecs.fits(data, layout, encoding, name)
    return found.pop("weights"), found


def _decoded(beside: Mapping[str, sections.Section], layout: Layout) -> dict[str, Weights]:
    return {name: codecs.decode(data, layout, encoding, what=name) for name, (encoding, data) in beside.items()}
