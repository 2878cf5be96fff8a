"""What others may see of the coordinator's state: small frozen records, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bramble_protocol.kinds import Counts
from bramble_protocol.layout import Weights
from bramble_server.rounds.machine import Running
from bramble_server.rounds.members import Members
from bramble_server.store.standings import Standing


@dataclass(frozen=True)
class Model:
    """A global model: of which round (0: the initial one), its weights of shape (parameters,), that round's metrics."""

    round: int
    weights: Weights = field(repr=False)
    metrics: dict[str, float]
    counts: Counts = field(default_factory=dict, repr=False)
    """What that round's clients counted, pooled."""


@dataclass(frozen=True)
class Progress:
    """How far one task is: its model, and the open round."""

    model: Model
    open_round: Running | None = None
    champion: Standing | None = None
    """The best model so far."""
    spent: float | None = None
    """Epsilon of all models so far; None where there is no budget."""

    @property
    def running(self) -> int | None:
        """The open round's number."""
        return self.open_round.number if self.open_round else None

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The clients that the open round waits for, in order: sorted when somebody asks, and not with every change."""
        return tuple(sorted(self.open_round.pending)) if self.open_round else ()


@dataclass(frozen=True)
class View:
    """What others may see, always consistent: replaced as a whole by the coordinator. ``revision`` grows with every change."""

    revision: int
    tasks: Mapping[str, Progress]
    """By name; the first is the one that is meant where none is named."""
    cycle: int = 0
    owing: Members = field(default_factory=Members)
    """Clients whose readings of the cycle are still to come."""

    @property
    def cycle_waiting_for(self) -> tuple[str, ...]:
        """The clients whose readings of the cycle are still to come, in order."""
        return tuple(sorted(self.owing))
