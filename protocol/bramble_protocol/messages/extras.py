"""What a round may ask of a client beyond plain training, and get back for it: each thing by a feature of its name, and else absent."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bramble_protocol import fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.features import CONTROL, CORRECTION, COUNTS, MOMENTUM, STEPS
from bramble_protocol.layout import Weights

DELTA = "control_delta"
"""The section of an answer that says how far a client's control moved."""
ASKING = (CORRECTION, CONTROL)
"""Sections that a request may have beside the weights, in their order."""
ANSWERING = (DELTA,)
"""Sections that an answer may have beside the weights."""
THRESHOLD = "threshold"
"""The field of a request that brings one."""
FIELDS = (STEPS, MOMENTUM, CONTROL, COUNTS, THRESHOLD)
"""Fields that a request in sections may have beside those that it must have."""


@dataclass(frozen=True, eq=False)
class Control:
    """The client keeps a control, a vector of its own that goes on from round to round, as SCAFFOLD and FedDyn need it.

    With ``x`` the weights that came, ``y`` those that it trained, ``c`` the common control and ``c_i`` its own, each of its steps is
    corrected by ``c - c_i``. Its control then becomes ``c_i - c + rate (x - y)``, and it answers by how much that is more.
    """

    since: int = 0
    """The round of the client's last answer that the server counted: ``c_i`` is what that one made of it. 0: it begins with zeros."""
    rate: float | None = None
    """None: 1 / (steps * learning rate), so that ``rate (x - y)`` is the mean gradient of the run."""
    common: Weights | None = field(default=None, repr=False)
    """Shape (layout.size,); None: zeros."""


@dataclass(frozen=True, eq=False)
class Extras:
    """What is asked beyond plain training; by default nothing."""

    steps: bool = False
    """The answer says how many steps the client took."""
    momentum: float = 0.0
    """Part of a step that goes into the next."""
    correction: Weights | None = field(default=None, repr=False)
    """What is added to the gradient of each step, shape (layout.size,)."""
    control: Control | None = None
    counts: bool = False
    """The answer brings what :func:`bramble_protocol.kinds.counted` says of the task."""
    threshold: float | None = None
    """The error above which a window is an alarm, of a task that reconstructs; None while there is none. It comes with ``counts``."""

    @property
    def features(self) -> tuple[str, ...]:
        """What a client must know to do it."""
        asked = {STEPS: self.steps, MOMENTUM: self.momentum, CORRECTION: self.correction is not None, CONTROL: self.control is not None}
        return tuple(name for name, given in {**asked, COUNTS: self.counts}.items() if given)

    @property
    def kind(self) -> Hashable:
        """Equal for what asks for the same; vectors are the same where they are one object."""
        control = self.control and (self.control.since, self.control.rate)
        return (
            self.steps,
            self.momentum,
            control,
            self.counts,
            self.threshold,
            tuple((name, id(vector)) for name, vector in self.vectors.items()),
        )

    @property
    def vectors(self) -> dict[str, Weights]:
        """What goes with the weights, by section."""
        given = {CORRECTION: self.correction, CONTROL: self.control.common if self.control else None}
        return {name: vector for name, vector in given.items() if vector is not None}

    @property
    def answered(self) -> tuple[str, ...]:
        """The sections that come with the weights of an answer."""
        return (DELTA,) if self.control else ()

    @classmethod
    def from_wire(cls, item: Mapping[str, Any], vectors: Mapping[str, Weights]) -> Extras:
        """Read and check what a request has beside what it must have.

        Parameters
        ----------
        item
            The request.
        vectors
            Its sections beside the weights, decoded.
        """
        control = None
        if THRESHOLD in item and COUNTS not in item:
            raise ProtocolError(f"{THRESHOLD}: the request has no field {COUNTS}")
        if CONTROL in item:
            told = fields.mapping(item[CONTROL], CONTROL, ("since", "rate"))
            control = Control(
                fields.integer(told["since"], "control.since"),
                fields.optional(fields.number, told["rate"], "control.rate", low=0, high=1e9),
                vectors.get(CONTROL),
            )
        return cls(
            steps=fields.flag(item.get(STEPS, False), STEPS),
            momentum=fields.number(item.get(MOMENTUM, 0.0), MOMENTUM, 0, 1),
            correction=vectors.get(CORRECTION),
            control=control,
            counts=fields.flag(item.get(COUNTS, False), COUNTS),
            threshold=fields.optional(fields.number, item.get(THRESHOLD), THRESHOLD, low=0, high=1e12),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the fields of a request; none for what is not asked."""
        control = self.control and {"since": self.control.since, "rate": self.control.rate}
        told = {name: value for name, value in ((STEPS, self.steps), (MOMENTUM, self.momentum), (CONTROL, control)) if value}
        if self.counts:
            told |= {COUNTS: True, **({} if self.threshold is None else {THRESHOLD: self.threshold})}
        return told


NOTHING = Extras()
