"""One round's anatomy: when each client was sent the model, trained, and had answered."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from bramble.api import JSON
from bramble_inspector.figures import style

PHASES = {"sent": "#56b4e9", "waiting": "#999999", "training": "#009e73", "returned": "#e69f00"}
"""Okabe and Ito's colours."""
OPEN, LOST = "#cc79a7", "#d55e00"
MOST = 60
"""Clients drawn: those that took longest, for it is they whom a round waits for."""
ROW_PX, FRAME_PX = 22, 90


def edges(part: Mapping[str, Any]) -> list[float] | None:
    """Return when a client's phases begin and the last ends, by the server's clock, in seconds since 1970; None if it has not answered.

    The client's times are by its own clock. Where they do not fit between the server's, both ways are taken to last equally long,
    as NTP does (RFC 5905, section 8).
    """
    sent, replied = part.get("sent"), part.get("replied")
    if sent is None or replied is None:
        return None
    own = [float(at) for name in ("received", "train_start", "train_end") if (at := part.get(name)) is not None]
    if len(own) < 3:
        return [sent, sent, sent, replied, replied]
    off = ((sent - own[0]) + (replied - own[2])) / 2 if own[0] < sent or own[2] > replied else 0.0
    return list(itertools.accumulate([sent, *(min(at + off, replied) for at in own), replied], max))


def slowest(entry: JSON) -> list[str]:
    """Return the clients to draw, the slowest first; who has not answered is slower than anybody."""
    known = entry.get("clients", {})
    last = {
        name: (part.get("replied") is not None, -((part.get("replied") or 0) - (part.get("sent") or 0))) for name, part in known.items()
    }
    return sorted(known, key=lambda name: (last[name], name))[:MOST]


def figure(entry: JSON, now: float) -> style.Figure:
    """Plot a round as its answer of ``/rounds/<n>`` has it; ``now`` is where what is not over yet ends."""
    clients = slowest(entry)
    begin, end = entry["started"], entry["ended"] or now
    found = {name: edges(entry["clients"][name]) for name in clients}
    traces = []
    for place, (phase, colour) in enumerate(PHASES.items()):
        spans = [(name, each[place] - begin, each[place + 1] - each[place]) for name, each in found.items() if each]
        traces.append(_bars(phase, colour, spans))
    away = [(name, (entry["clients"][name].get("sent") or begin) - begin) for name, each in found.items() if each is None]
    over = entry["state"] != "running"
    waits = [(name, at, max(0.0, end - begin - at)) for name, at in away]
    traces.append(_bars("no answer" if over else "awaited", LOST if over else OPEN, waits))
    traces = [trace for trace in traces if trace["y"]]
    layout = style.layout("seconds since the round began", "", f"round {entry['round']}", len(traces))
    layout |= {
        "barmode": "overlay", "hovermode": "closest", "showlegend": True, "height": FRAME_PX + ROW_PX * max(3, len(clients)),
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, "bargap": 0.25,
    }  # fmt: skip
    layout["yaxis"] |= {"autorange": "reversed", "type": "category", "categoryorder": "array", "categoryarray": clients}
    return {"data": traces, "layout": layout}


def _bars(name: str, colour: str, spans: Sequence[tuple[str, float, float]]) -> style.Figure:
    return {
        "type": "bar", "orientation": "h", "name": name, "y": [span[0] for span in spans], "base": [round(span[1], 4) for span in spans],
        "x": [round(span[2], 4) for span in spans], "marker": {"color": colour},
        "hovertemplate": "%{y}: " + name + " %{x:.3~g} s<extra></extra>",
    }  # fmt: skip
