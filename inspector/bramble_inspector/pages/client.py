"""Client: one Pi, what it says of itself and how it learns."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote

from dash import Output, dcc, html

from bramble.api import JSON
from bramble_inspector import parts, sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import forecast, learning
from bramble_inspector.live import Answer, Page
from bramble_inspector.panels import Panel


def layout(name: str = "", **_: str) -> list[Any]:
    """Return the page."""
    return [
        dcc.Store(id="client-at", data=unquote(name)),
        html.H2(unquote(name), className="page-title"),
        html.Div(id="client-about", className="cards"),
        html.Div(
            [
                parts.plot("client-forecast", "Forecast against measurement", "newest readings; dotted: the model's forecast"),
                parts.plot("client-error", "Test error", "on readings it had not trained on yet; dashed: baseline"),
            ],
            className="grid",
        ),
    ]


def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
    """Show what is new."""
    name = picks["client"] or ""
    info = snapshot.clients.get(name)
    answer.put("about", [info, snapshot.down], lambda: _about(snapshot, name, info))
    for panel in PANELS:
        answer.plot(panel, snapshot, picks)


def _about(snapshot: Snapshot, name: str, info: JSON | None) -> Any:
    if info is None:
        if name in snapshot.never_seen:
            return parts.empty("It has a token and has never connected: start it, and look whether it reaches the server.")
        said = "No client of this name has ever been seen. Look for it on the page Fleet."
        return parts.empty(said if snapshot.status else "Nothing is known of the fleet yet: the server has not answered.")
    seen = "connected" if info["connected"] else "away"
    since = f"since {sentences.moment(info['since'])}" if info.get("since") else ""
    last = sentences.ago(time.time() - info["last_seen"]) if info.get("last_seen") else "never"
    remarks = [parts.line(remark, f"client-remark-{place}") for place, remark in enumerate(info.get("remarks", ()))]
    return [
        parts.card(
            "client-state", "State", seen, [parts.line(since if info["connected"] else f"last seen {last}", "client-since"), *remarks]
        ),
        parts.card("client-version", "Release", str(info.get("version", "–")), []),
    ]


PANELS = (
    Panel(
        "client-forecast",
        ("readings", "rounds", "task"),
        ("client",),
        lambda snapshot, picks: forecast.figure(snapshot, [picks["client"] or ""]),
        lambda snapshot, picks: sentences.no_forecasts(snapshot),
    ),
    Panel(
        "client-error",
        ("rounds", "task"),
        ("client",),
        lambda snapshot, picks: learning.error(snapshot, [picks["client"] or ""]),
        lambda snapshot, picks: sentences.no_error(snapshot),
    ),
)
PAGE = Page(
    "client", "Client", "/client", layout, refresh,
    {"about": Output("client-about", "children")},
    {"client": "client-at"},
    PANELS,
    template="/client/<name>",
    listed=False,
)  # fmt: skip
