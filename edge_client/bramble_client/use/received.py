"""The newest global model of a task that came, as a client keeps it: so it forecasts after a restart too, before any round."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from bramble_client.learn.local_state import text, vector
from bramble_client.use.own import LARGEST
from bramble_protocol.errors import ProtocolError
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import ClientUpdate


@dataclass(frozen=True)
class Received:
    """A global model, and what is told of it."""

    graph: str
    """Digest of the graph that it belongs to."""
    round: int
    """The round that it came with."""
    layout: Layout
    weights: Weights = field(repr=False)
    forecast: str | None
    """The channel in which its forecasts are mirrored, where that is not the target's own."""
    threshold: float | None = None
    """Of a task that reconstructs: the error above which a window is an alarm, as the fleet's histograms say."""

    @classmethod
    def of(cls, update: ClientUpdate) -> Received:
        """Take it from a request: the best so far, for a newer one has not proved itself yet."""
        return cls(update.graph, update.round, update.layout, update.best, update.forecast, update.extras.threshold)

    def written(self) -> str | None:
        """Return it as a text; None for one that is too large to be written with each round."""
        if self.layout.size > LARGEST:
            return None
        return json.dumps([self.graph, self.round, self.layout.to_wire(), text(self.weights, self.layout), self.forecast, self.threshold])

    @classmethod
    def read(cls, kept: str) -> Received | None:
        """Read what was written; None if it is damaged."""
        try:
            graph, number, wire, weights, forecast, threshold = json.loads(kept)
            layout = Layout.from_wire(wire)
            name, bound = None if forecast is None else str(forecast), None if threshold is None else float(threshold)
            return cls(str(graph), int(number), layout, vector(weights, layout), name, bound)
        except (ValueError, TypeError, ProtocolError):
            return None
