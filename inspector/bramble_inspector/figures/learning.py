"""How the fleet learns: loss and test error, round by round, of the global model and of each client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bramble.api import JSON
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import band, style
from bramble_inspector.figures.metric import Metric
from bramble_inspector.thinning import budget, thin

FEW = 12
"""Rounds of which each has its own tick."""

Pick = Callable[[JSON], float | None]


def loss(snapshot: Snapshot, clients: Sequence[str], when: str) -> style.Figure:
    """Plot the training loss; ``when`` is ``before`` (the global model as received) or ``after`` local training."""
    if not snapshot.committed:
        return {"data": [], "layout": {}}
    traces = per_client(snapshot, clients, lambda measures: measures.get(f"loss_{when}"), "", opacity=0.55)
    name = "global model" if when == "before" else "mean after training"
    traces.append(_global(snapshot, name, f"loss_{when}", lambda mean: mean, ""))
    abandoned = [entry for entry in snapshot.ended if entry["state"] == "abandoned"]
    if abandoned:
        traces.append(_marks("abandoned", "x", abandoned))
    back = [entry for entry in snapshot.committed if entry.get("rollback_of")]
    if back:
        traces.append(_marks("rolled back", "triangle-left", back))
    layout = style.layout("round", f"loss {when} local training", f"loss {when}", len(traces))
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": traces, "layout": layout | whole_rounds(layout, traces)}


def error(snapshot: Snapshot, clients: Sequence[str]) -> style.Figure:
    """Plot the error on readings that nobody has trained on yet, against the task's baseline."""
    metric = Metric(snapshot.manifest)
    traces = per_client(snapshot, clients, lambda measures: metric.value(measures.get("test_error")), metric.unit, opacity=0.45)
    baseline = _global(snapshot, metric.short_baseline, "test_baseline", metric.value, metric.unit)
    baseline["line"] = {"color": style.BASELINE, "width": 2.5, "dash": "dash"}
    error = _global(snapshot, "global model", "test_error", metric.value, metric.unit)
    traces = [*traces, *(_quartiles(snapshot, metric) if snapshot.many else []), baseline, error] if error["x"] else []
    layout = style.layout("round", metric.title, "error", len(traces))
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": traces, "layout": layout | whole_rounds(layout, traces)}


def per_client(snapshot: Snapshot, clients: Sequence[str], pick: Pick, unit: str, **look: Any) -> list[style.Figure]:
    """Return a line for each client of what ``pick`` finds in its measures of each committed round; of many, where they lie."""
    found: dict[str, list[tuple[int, float]]] = {}
    for client in clients:
        points = [(entry["round"], pick(entry["clients"][client])) for entry in snapshot.committed if client in entry.get("clients", {})]
        if known := [(number, value) for number, value in points if value is not None]:
            found[client] = known
    if band.together(clients):
        lines = {client: np.array(points, dtype=np.float64) for client, points in found.items()}
        numbers = np.array(sorted({number for points in found.values() for number, _ in points}), dtype=np.float64)
        return band.figures({client: (line[:, 0], line[:, 1]) for client, line in lines.items()}, unit, numbers)
    most = budget(len(clients))
    return [_trace(client, points, style.colour(snapshot.order, client), unit, most, **look) for client, points in found.items()]


def _quartiles(snapshot: Snapshot, metric: Metric) -> list[style.Figure]:
    """Return the band between the quartiles of all clients' errors, which a server tells of a fleet too large to know each client."""
    low, high = (
        _global(snapshot, f"{which} quartile", f"test_error.{which}_quartile", metric.value, metric.unit) for which in ("lower", "upper")
    )
    if not low["x"]:
        return []
    edge = {"line": {"color": band.INK, "width": 0.5}, "mode": "lines"}
    return [low | edge, high | edge | {"fill": "tonexty", "fillcolor": band.FILL}]


def _global(snapshot: Snapshot, name: str, key: str, transform: Callable[[float | None], float | None], unit: str) -> style.Figure:
    points = [(entry["round"], transform(entry.get("metrics", {}).get(key))) for entry in snapshot.committed]
    return _trace(name, [(number, value) for number, value in points if value is not None], style.GLOBAL, unit, 500, width=3)


def _trace(name: str, points: list[Any], colour: str, unit: str, most: int, **look: Any) -> style.Figure:
    table = np.array(points, dtype=np.float64).reshape(-1, 2)
    numbers, values = thin(table[:, 0], table[:, 1], most)
    # A lone round is a point: a line through it would be invisible
    mode = "lines+markers" if len(numbers) <= 40 else "lines"
    return style.line(name, [round(number) for number in numbers], values, colour, unit, mode=mode, marker={"size": 5}, **look)


def _marks(name: str, symbol: str, rounds: list[JSON]) -> style.Figure:
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [entry["round"] for entry in rounds], "y": [0.0] * len(rounds),
        "text": [str(entry.get("reason") or "") for entry in rounds],
        "marker": {"symbol": symbol, "size": 8, "color": style.BASELINE}, "cliponaxis": False,
        "hovertemplate": f"{name}: %{{text}}<extra></extra>",
    }  # fmt: skip


def whole_rounds(layout: style.Figure, traces: Sequence[style.Figure]) -> style.Figure:
    """Return the x axis of ``layout`` with ticks at whole rounds only: there is no half of one."""
    rounds = [number for trace in traces for number in (trace["x"][:1] + trace["x"][-1:])]
    few = max(rounds, default=0) - min(rounds, default=0) <= FEW
    axis = {**layout["xaxis"], "hoverformat": "d", "minor": {"dtick": 1}}
    # Between many rounds plotly chooses; a reader who zooms in to a few sees 3.5 where it is 3.5, and not a second 4.
    return {"xaxis": axis | ({"tickmode": "linear", "tick0": 0, "dtick": 1, "tickformat": "d"} if few else {"tickformat": "~g"})}
