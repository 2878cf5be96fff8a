"""Many clients in one plot: their median, the band in which four of five lie, and those far outside of it by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bramble_inspector.figures import style
from bramble_inspector.thinning import Floats

MOST_LINES = 60
"""Clients that are drawn one by one at most: more lines tell nothing, and cost the browser its fluency."""
OUTLIERS = 3
"""Clients that are named at most."""
FAR = 1.0
"""Times the width of the band by which a client must be off the median on average to be named."""
POINTS = 300
"""Points of the band along a time axis."""
_LOW, _HIGH = 0.1, 0.9
INK, FILL = "#0072b2", "rgba(0,114,178,.18)"
_NAMED = ("#d55e00", "#cc79a7", "#009e73")
"""Blue for the many, the others for who is named: Okabe and Ito's colours, which colour-blind people tell apart, as dashes do."""
_DASHES = ("solid", "6px,3px", "2px,2px")


def figures(lines: Mapping[str, tuple[Floats, Floats]], unit: str, grid: Floats | None = None) -> list[style.Figure]:
    """Return the traces of many clients.

    Parameters
    ----------
    lines
        Each client's increasing x and y, shape (n,) each; y may be NaN where a reading failed.
    unit
        Of y.
    grid
        The x at which they are compared: those of rounds; ``POINTS`` along all of them without it.
    """
    lines = {name: (x[np.isfinite(y)], y[np.isfinite(y)]) for name, (x, y) in lines.items()}
    lines = {name: line for name, line in lines.items() if line[0].size}
    if not lines:
        return []
    at = _grid(lines) if grid is None else grid
    table = np.stack([np.interp(at, x, y, left=np.nan, right=np.nan) for x, y in lines.values()])
    at, table = at[np.isfinite(table).any(axis=0)], table[:, np.isfinite(table).any(axis=0)]
    low, middle, high = np.nanquantile(table, (_LOW, 0.5, _HIGH), axis=0)
    traces = [
        _line("lowest tenth", at, low, INK, unit, width=0.5, hoverinfo="skip"),
        _line("highest tenth", at, high, INK, unit, width=0.5, fill="tonexty", fillcolor=FILL, hoverinfo="skip"),
        _line(f"median of {len(lines)} clients", at, middle, INK, unit, width=2.5),
    ]
    names = list(lines)
    for place, row in enumerate(_outliers(table, middle, high - low)):
        look = {"width": 1.8, "dash": _DASHES[place], "mode": "lines+text", "textposition": "top left"}
        trace = _line(names[row], at, table[row], _NAMED[place], unit, **look)
        last = int(np.flatnonzero(np.isfinite(table[row]))[-1])
        trace["text"] = [names[row] if point == last else "" for point in range(at.size)]
        trace["textfont"] = {"color": _NAMED[place]}
        traces.append(trace)
    return traces


def _grid(lines: Mapping[str, tuple[Floats, Floats]]) -> Floats:
    first, last = min(x[0] for x, _ in lines.values()), max(x[-1] for x, _ in lines.values())
    return np.linspace(first, last, POINTS if last > first else 1)


def _outliers(table: Floats, middle: Floats, width: Floats) -> list[int]:
    """Return who is farthest off the median, the farthest first, where that is far."""
    off = np.abs(table - middle)
    seen = np.isfinite(off)
    mean = np.where(seen, off, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    usual = float(width.mean())
    return [int(row) for row in np.argsort(-mean)[:OUTLIERS] if mean[row] > FAR * usual > 0]


def _line(name: str, x: Floats, y: Floats, colour: str, unit: str, **look: object) -> style.Figure:
    values = [None if value != value else value for value in y.tolist()]
    return style.line(name, x.tolist(), values, colour, unit, **look)


def together(clients: Sequence[str]) -> bool:
    """Whether so many clients are drawn as a band."""
    return len(clients) > MOST_LINES
