"""How one client's machine was over time, by its reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bramble.api import JSON
from bramble_inspector.figures import style
from bramble_inspector.thinning import thin

MEASURES = {
    "soc_temperature": ("heat", "processor (°C)", "°C"),
    "memory_free": ("memory", "memory free (MiB)", "MiB"),
    "disk_free": ("disk", "disk free (MiB)", "MiB"),
    "clock_offset": ("clock", "clock ahead of the server's (s)", "s"),
    "sample_age": ("sample", "age of the newest sample (s)", "s"),
}
"""What can be drawn: its short name, the axis' title, and the unit."""
_OF = {
    "power": "soc_temperature", "memory": "memory_free", "disk": "disk_free", "clock": "clock_offset",
    "stale": "sample_age",
}  # fmt: skip
"""By which measure something that is wrong with a client is seen."""
_WRONG = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "hot"}


def first(past: JSON | None, wrong: Sequence[str]) -> str:
    """Return the measure to begin with: that of the most pressing of what is ``wrong``, else the first that the machine reports."""
    told = (past or {}).get("health") or {}
    reported = [measure for measure in MEASURES if any(value is not None for value in told.get(measure, ()))]
    pressing = [_OF[kind] for kind in wrong if _OF.get(kind) in reported]
    return next(iter(pressing or reported), next(iter(MEASURES)))


def figure(past: JSON | None, measure: str) -> style.Figure:
    """Plot one measure, and mark where the firmware said that the power was too weak or the processor too hot."""
    told = (past or {}).get("health") or {}
    values = told.get(measure, [])
    if not any(value is not None for value in values):
        return {"data": [], "layout": {}}
    _, title, unit = MEASURES[measure]
    t = [at * 1000 for at in told["t"]]
    x, y = thin(np.array(t), np.array(values, float))  # as many as there are, with a gap where nothing was reported
    traces = [style.line(title, x, y, style.GLOBAL, unit, width=1.8, mode="lines" if len(x) > 2 else "lines+markers")]
    said = [(at, value, int(bits)) for at, value, bits in zip(t, values, told["throttled"], strict=True) if bits and value is not None]
    if said:
        words = [", ".join(word for bit, word in _WRONG.items() if bits >> bit & 1) for _, _, bits in said]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": "power or heat", "x": [at for at, _, _ in said], "y": [y for _, y, _ in said],
                "text": words, "marker": {"color": "#d55e00", "symbol": "diamond", "size": 9}, "hovertemplate": "%{text}<extra></extra>",
            }
        )  # fmt: skip
    layout = style.layout("time (UTC)", title, measure, len(traces))
    layout["xaxis"] |= {"type": "date", "hoverformat": "%Y-%m-%d %H:%M"}
    return {"data": traces, "layout": layout}
