"""Readings of one channel of all clients, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence

from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import style
from bramble_inspector.series import newest
from bramble_inspector.thinning import budget, thin


def figure(snapshot: Snapshot, clients: Sequence[str], channel: str, span: int | None) -> style.Figure:
    """Plot ``channel`` of ``clients`` over the newest ``span`` steps of the task, or all that is kept."""
    start = window_start(snapshot, span)
    shown = {
        client: channels[channel].after(start)
        for client, channels in snapshot.readings.items()
        if client in clients and channel in channels
    }
    traces, unit = [], ""
    for client in clients:
        if client in shown and shown[client].t.size:
            unit = shown[client].unit
            t, value = thin(shown[client].t * 1000, shown[client].value, budget(len(shown)))
            traces.append(style.line(client, t, value, style.colour(snapshot.order, client), unit))
    layout = style.layout("time (UTC)", f"{channel} ({unit})", f"{channel} {span} {' '.join(clients)}", len(traces))
    layout["xaxis"] |= {"type": "date", "hoverformat": "%Y-%m-%d %H:%M"}
    return {"data": traces, "layout": layout}


def window_start(snapshot: Snapshot, span: int | None) -> float:
    """Return the time, in epoch seconds, from which the newest ``span`` steps are shown."""
    end = newest(snapshot.readings)
    step = float(snapshot.manifest.get("step_s", 0.0))
    return end - span * step if end is not None and span is not None else float("-inf")
