"""The messages of an evaluation: which models a client is to try on readings that none of them was trained on, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bramble_protocol import codecs, fields, sections
from bramble_protocol.errors import ProtocolError
from bramble_protocol.kinds import Counts, counts_from_wire
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages.training import MAX_SAMPLES, Packed

MOST_MODELS = 8
"""Models that are tried in one evaluation."""
_SECTION = "model-"


def model_name(layout: Layout, weights: Weights, encoding: str) -> str:
    """Return what a server calls weights, shape (layout.size,), in an encoding: 16 hexadecimal digits, as in ``client_update``."""
    return Packed(layout, weights, encoding).digest


@dataclass(frozen=True)
class Evaluate:
    """Server to client, as a feature: try these models on the windows that none of them was trained on, all of them on the same ones."""

    evaluation: int
    task: str
    graph: str
    layout: Layout
    encoding: str
    models: Mapping[str, Weights] = field(repr=False)
    """Weights of each, shape (layout.size,), by :func:`model_name`."""
    trained: int
    """The last round whose answers may be in any of them; 0 for none."""
    deadline_s: float
    """Seconds after which nobody waits for the answer."""

    @classmethod
    def from_wire(cls, value: Any) -> Evaluate:
        """Read and check the wire form, weights decoded."""
        wanted = ("evaluation", "task", "graph", "layout", "encoding", "weights", "models", "trained", "deadline_s")
        item = fields.mapping(value, "evaluate", wanted)
        if item["encoding"] != sections.ENCODING:
            raise ProtocolError(f"encoding: models to try come in {sections.ENCODING}")
        layout, listed = Layout.from_wire(item["layout"]), item["models"]
        if not isinstance(listed, list) or not 0 < len(listed) <= MOST_MODELS:
            raise ProtocolError(f"models: expected a list of 1 to {MOST_MODELS} names")
        names = tuple(fields.text(name, f"models[{index}]", 16, fields.MODEL) for index, name in enumerate(listed))
        found = sections.unpack(item["weights"], [_SECTION + name for name in names])
        models, used = {}, set()
        for name in names:
            if _SECTION + name not in found:
                raise ProtocolError(f"sections: there is no section {_SECTION}{name}")
            encoding, data = found[_SECTION + name]
            if codecs.find(encoding, f"sections.{_SECTION}{name}").instead:
                raise ProtocolError(f"sections.{_SECTION}{name}: a model to try does not travel as {encoding}")
            codecs.fits(data, layout, encoding, _SECTION + name)
            models[name] = codecs.decode(data, layout, encoding, what=_SECTION + name)
            used.add(encoding)
        return cls(
            evaluation=fields.integer(item["evaluation"], "evaluation", 1),
            task=fields.text(item["task"], "task", 63, fields.CLIENT_ID),
            graph=fields.text(item["graph"], "graph", 64, fields.SHA256),
            layout=layout,
            encoding=max(used),
            models=models,
            trained=fields.integer(item["trained"], "trained"),
            deadline_s=fields.number(item["deadline_s"], "deadline_s", 0.001, 1e6),
        )

    @cached_property
    def _attachment(self) -> bytes:
        return sections.pack(
            (_SECTION + name, self.encoding, codecs.encode(weights, self.layout, self.encoding)) for name, weights in self.models.items()
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form; the models are encoded once."""
        return {
            "evaluation": self.evaluation,
            "task": self.task,
            "graph": self.graph,
            "layout": self.layout.to_wire(),
            "encoding": sections.ENCODING,
            "weights": self._attachment,
            "models": list(self.models),
            "trained": self.trained,
            "deadline_s": self.deadline_s,
        }


@dataclass(frozen=True)
class Evaluated:
    """Client to server: what it found, or why it tried nothing."""

    evaluation: int
    samples: int = 0
    """Windows that each of the models was tried on."""
    baseline: float = 0.0
    """Mean over them of the baseline's error, as in ``test_baseline``."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """Means over them of each model's error, as in ``test_error``, by the model's name."""
    counts: Mapping[str, Counts] | None = None
    """What :func:`bramble_protocol.kinds.counted` says of these windows, by the model's name; None of a task that has nothing counted."""
    reason: str | None = None
    """Why there is nothing; None where there is."""

    @classmethod
    def from_wire(cls, value: Any) -> Evaluated:
        """Read and check the wire form."""
        if isinstance(value, dict) and "reason" in value:
            item = fields.mapping(value, "evaluated", ("evaluation", "reason"))
            return cls(fields.integer(item["evaluation"], "evaluation", 1), reason=fields.text(item["reason"], "reason"))
        item = fields.mapping(value, "evaluated", ("evaluation", "samples", "baseline", "errors"), ("counts",))
        errors = fields.numbers(item["errors"], "errors", MOST_MODELS)
        counts = fields.mapping(item["counts"], "counts", tuple(errors)) if "counts" in item else None
        return cls(
            evaluation=fields.integer(item["evaluation"], "evaluation", 1),
            samples=fields.integer(item["samples"], "samples", 1, MAX_SAMPLES),
            baseline=fields.number(item["baseline"], "baseline", 0),
            errors={name: fields.number(error, f"errors.{name}", 0) for name, error in errors.items()},
            counts=counts if counts is None else {name: counts_from_wire(found) for name, found in counts.items()},
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        if self.reason is not None:
            return {"evaluation": self.evaluation, "reason": self.reason}
        told = {"evaluation": self.evaluation, "samples": self.samples, "baseline": self.baseline, "errors": dict(self.errors)}
        if self.counts is None:
            return told
        return {**told, "counts": {name: {key: [*vector] for key, vector in found.items()} for name, found in self.counts.items()}}
