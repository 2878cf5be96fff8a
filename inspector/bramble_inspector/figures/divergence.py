"""How far each client's model is from the global one."""

from __future__ import annotations

from collections.abc import Sequence

from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import style
from bramble_inspector.figures.learning import per_client, whole_rounds

MEASURES = {
    "distance": "distance ‖wᵢ − w‖",
    "update_norm": "update norm ‖wᵢ − w₀‖",
    "cosine": "cosine to the global step",
}
"""What the server computes of client i's update wᵢ to the model w₀ it was sent; w is the new global model."""


def figure(snapshot: Snapshot, clients: Sequence[str], measure: str) -> style.Figure:
    """Plot one of ``MEASURES`` for each client and round."""
    traces = per_client(snapshot, clients, lambda measures: measures.get(measure), "")
    layout = style.layout("round", MEASURES[measure], measure, len(traces))
    layout["yaxis"]["rangemode"] = "normal" if measure == "cosine" else "tozero"
    return {"data": traces, "layout": layout | whole_rounds(layout, traces)}
