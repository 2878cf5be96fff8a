"""What all plots share: colours, axes, hover. Text and grid take the page's colours in ``assets/style.css``."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]

GLOBAL = "#e03e79"
"""The global model, in every plot; no client has it."""
BASELINE = "#868e96"
_CLIENTS = ("#3b82f6", "#f59e0b", "#10b981", "#8b5cf6", "#06b6d4", "#84cc16", "#f97316", "#64748b", "#a16207", "#0f766e")
UNIFIED_UP_TO = 12
"""More traces than this at one time do not fit in one hover box."""


def colour(order: Sequence[str], client: str) -> str:
    """Return a client's colour: by its place among all clients ever seen, so that it stays through joins and leaves."""
    place = order.index(client) if client in order else len(order)
    if place < len(_CLIENTS):
        return _CLIENTS[place]
    # The golden angle keeps neighbours apart however many there are; lightness stays legible on white and on black
    red, green, blue = colorsys.hls_to_rgb((place * 0.618034) % 1, 0.52, 0.55 if place % 2 else 0.75)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def layout(x: str, y: str, view: str, traces: int, **more: Any) -> Figure:
    """Return a layout.

    Parameters
    ----------
    x, y
        Axis titles, with units.
    view
        While this stays the same, the reader's zoom survives new data.
    traces
        How many lines there are, which decides how hovering shows them.
    """
    return {
        "uirevision": view,
        "autosize": True,
        "margin": {"l": 58, "r": 14, "t": 10, "b": 42},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif", "size": 12},
        "showlegend": False,
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": BASELINE, "activecolor": GLOBAL},
        "hovermode": "x unified" if traces <= UNIFIED_UP_TO else "closest",
        "hoverlabel": {"bgcolor": "#212529", "bordercolor": "#495057", "font": {"color": "#f8f9fa", "size": 12}, "namelength": -1},
        "xaxis": axis(x),
        "yaxis": axis(y),
        **more,
    }


def axis(title: str, **more: Any) -> Figure:
    """Return one axis with its title."""
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "zeroline": False,
        "gridcolor": "rgba(134,142,150,.25)",
        "linecolor": "rgba(134,142,150,.5)",
        **more,
    }


def line(name: str, x: list[Any], y: list[Any], colour: str, unit: str, **more: Any) -> Figure:
    """Return one line; ``unit`` is shown on hovering."""
    style = {"color": colour, "width": more.pop("width", 1.5)}
    if "dash" in more:
        style["dash"] = more.pop("dash")
    suffix = f" {unit}" if unit else ""
    hover = f"%{{y:.4~g}}{suffix}<extra>%{{fullData.name}}</extra>"
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": style, "hovertemplate": hover, **more}
