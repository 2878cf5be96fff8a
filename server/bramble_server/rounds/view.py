"""What others may see of the coordinator's state: small frozen records, replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bramble_protocol.layout import Weights
from bramble_server.rounds.cycle import World
from bramble_server.rounds.synchronous import Running


@dataclass(frozen=True)
class Model:
    """A global model: of which round (0: the initial one), its weights of shape (parameters,), that round's metrics."""

    round: int
    weights: Weights = field(repr=False)
    metrics: dict[str, float]


@dataclass(frozen=True)
class View:
    """What others may see, always consistent: replaced as a whole by the coordinator. ``revision`` grows with every change."""

    revision: int
    model: Model
    running: int | None = None
    waiting_for: tuple[str, ...] = ()
    cycle: int = 0
    cycle_waiting_for: tuple[str, ...] = ()

    def now(self, running: Running | None, world: World) -> View:
        """Return the next view: of this open round, and of the simulated world."""
        return replace(
            self,
            revision=self.revision + 1,
            running=running.number if running else None,
            waiting_for=tuple(sorted(running.pending)) if running else (),
            cycle=world.cycle,
            cycle_waiting_for=tuple(world.waiting_for()),
        )
