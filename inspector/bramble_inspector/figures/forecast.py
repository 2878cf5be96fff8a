"""What the global model said, against what came: one row a client, one time axis."""

from __future__ import annotations

from collections.abc import Sequence

from bramble_inspector import sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import style
from bramble_inspector.figures.metric import Metric
from bramble_inspector.figures.streams import window_start
from bramble_inspector.thinning import thin

MAX_ROWS = 6
SPAN = 240
"""Steps shown: on more, a daily cycle is too thin to judge a forecast by."""
LONGEST_NAME = 13
"""Characters of a client's name above its row: its score stands behind it, on a phone too."""
ROW_PX, FRAME_PX = 104, 70
"""Height that a row, and what is around all rows, needs at least."""


def rows(snapshot: Snapshot, clients: Sequence[str]) -> list[str]:
    """Return the clients that get a row: the first ones that have forecasts."""
    both = {snapshot.manifest.get("target", ""), snapshot.forecast}
    having = [client for client in clients if snapshot.readings.get(client, {}).keys() >= both]
    return having[:MAX_ROWS]


def figure(snapshot: Snapshot, clients: Sequence[str]) -> style.Figure:
    """Plot measurement and forecast of the task's target for each client of ``rows``."""
    target = str(snapshot.manifest.get("target", ""))
    start = window_start(snapshot, SPAN)
    shown = rows(snapshot, clients)
    metric = Metric(snapshot.manifest)
    layout = style.layout("time (UTC)", "", f"{snapshot.forecast} {' '.join(shown)}", 2)
    layout["margin"]["t"] = 24
    layout["xaxis"] |= {"type": "date", "hoverformat": "%Y-%m-%d %H:%M"}
    layout["annotations"] = []
    traces = []
    for row, client in enumerate(shown):
        suffix = "" if row == 0 else str(row + 1)
        measured, forecast = (snapshot.readings[client][key].after(start) for key in (target, snapshot.forecast))
        colour = style.colour(snapshot.order, client)
        for name, series, look in (
            ("measured", measured, {"width": 1.8}),
            ("forecast", forecast, {"width": 1.8, "dash": "3px,2px"}),
        ):
            t, value = thin(series.t * 1000, series.value)
            ink = colour if name == "measured" else style.GLOBAL
            traces.append(style.line(name, t, value, ink, series.unit, yaxis=f"y{suffix}", meta=client, **look))
        top, height = 1 - row / len(shown), 1 / len(shown)
        title = f"{target} ({measured.unit})" if row == len(shown) // 2 else ""
        layout[f"yaxis{suffix}"] = style.axis(title, domain=[top - height * 0.78, top], nticks=4)
        layout["annotations"].append(_title(client, metric.latest(snapshot, client), top, colour))
    # The time axis belongs to the lowest row
    layout["xaxis"]["anchor"] = f"y{len(shown)}" if len(shown) > 1 else "y"
    return {"data": traces, "layout": layout}


def _title(client: str, score: str, top: float, colour: str) -> style.Figure:
    return {
        "text": f"<b>{sentences.short(client, LONGEST_NAME)}</b>  {score}",
        "font": {"color": colour, "size": 12},
        "xref": "paper", "x": 0, "xanchor": "left",
        "yref": "paper", "y": top, "yanchor": "bottom",
        "showarrow": False,
        "hovertext": client,
    }  # fmt: skip
