"""What all plots share: colours, axes, hover. Text and grid take the page's colours in ``assets/style.css``."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]

GLOBAL = "#e03e79"
"""The global model, in every plot; no client has it."""
BASELINE = "#868e96"
_CLIENTS = ("#3b82f6", "#c2700a", "#12966b", "#8b5cf6", "#0e8fa8", "#65953a", "#e8590c", "#64748b", "#a16207", "#0d9467")
_LUMINANCE = 0.21
"""Relative luminance at which a colour stands out from a white and from a dark page alike, by 3:1 and more (WCAG 2.2, 1.4.11)."""
UNIFIED_UP_TO = 12
"""More traces than this at one time do not fit in one hover box."""


def colour(order: Sequence[str], client: str) -> str:
    """Return a client's colour: by its place among all clients ever seen, so that it stays through joins and leaves."""
    place = order.index(client) if client in order else len(order)
    if place < len(_CLIENTS):
        return _CLIENTS[place]
    # The golden angle keeps neighbours apart however many there are
    return _legible((place * 0.618034) % 1, 0.55 if place % 2 else 0.75)


def _legible(hue: float, saturation: float) -> str:
    """Return the colour of a hue whose lightness makes it stand out on light and on dark, whatever the hue."""
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if luminance(colorsys.hls_to_rgb(hue, middle, saturation)) < _LUMINANCE else (low, middle)
    red, green, blue = colorsys.hls_to_rgb(hue, low, saturation)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def luminance(rgb: tuple[float, float, float]) -> float:
    """Return the relative luminance of a colour, 0 to 1, from red, green and blue of 0 to 1 (WCAG 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


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
