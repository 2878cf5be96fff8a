"""Readings of one channel of all clients, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence

from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import band, style
from bramble_inspector.series import Series, newest
from bramble_inspector.thinning import budget, thin


def figure(snapshot: Snapshot, clients: Sequence[str], channel: str, span: int | None) -> style.Figure:
    """Plot ``channel`` of ``clients`` over the newest ``span`` steps of the task, or all that is kept."""
    start = window_start(snapshot, span)
    shown = {
        client: channels[channel].after(start)
        for client, channels in snapshot.readings.items()
        if client in clients and channel in channels
    }
    shown = {client: series for client, series in shown.items() if series.t.size}
    unit = next((series.unit for series in shown.values()), "")
    if band.together(clients):
        traces = band.figures({client: (series.t * 1000, series.value) for client, series in shown.items()}, unit)
    else:
        traces = [_line(snapshot, client, shown[client], budget(len(shown))) for client in clients if client in shown]
    who = " ".join(clients) if len(clients) < len(snapshot.order) else ""
    layout = style.layout("time (UTC)", f"{channel} ({unit})", f"{channel} {span} {who}", len(traces))
    layout["xaxis"] |= {"type": "date", "hoverformat": "%Y-%m-%d %H:%M"}
    return {"data": traces, "layout": layout}


def _line(snapshot: Snapshot, client: str, series: Series, most: int) -> style.Figure:
    t, value = thin(series.t * 1000, series.value, most)
    return style.line(client, t, value, style.colour(snapshot.order, client), series.unit)


def window_start(snapshot: Snapshot, span: int | None) -> float:
    """Return the time, in epoch seconds, from which the newest ``span`` steps are shown."""
    end = newest(snapshot.readings)
    step = float(snapshot.manifest.get("step_s", 0.0))
    return end - span * step if end is not None and span is not None else float("-inf")
