"""Rounds: how the fleet learns, round by round."""

from __future__ import annotations

import time
from typing import Any

from dash import Output, dcc, html

from bramble.api import JSON
from bramble_inspector import client_chips, parts, progress, sentences, words
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import anatomy, divergence, learning, style
from bramble_inspector.live import Answer, Page
from bramble_inspector.panels import Panel, picked

_MEASURES = [{"value": key, "label": key.replace("_", " ")} for key in divergence.MEASURES]
_WHEN = ("before", "after")
_MEASURE = next(iter(divergence.MEASURES))


def layout(when: str | None = None, measure: str | None = None, focus: str | None = None, number: str | None = None, **_: str) -> list[Any]:
    """Return the page; with ``number`` that round comes first."""
    losses = parts.pick("when", _WHEN, parts.known(when, _WHEN, _WHEN[0]), "Before or after local training")
    measures = parts.pick("measure", _MEASURES, parts.known(measure, divergence.MEASURES, _MEASURE), "Measure of divergence")
    one = [
        html.Div(id="rounds-said"),
        parts.plot("anatomy", "Anatomy", "what each client did when; the slowest first"),
        parts.panel("Its clients", "", html.Div(id="rounds-clients"), name="clients"),
    ]
    return [
        dcc.Store(id="rounds-at", data=number),
        html.Div(id="rounds-cards", className="cards"),
        html.Div(one, className="one", style={} if number else parts.HIDDEN),
        client_chips.strip("rounds-focus", focus),
        html.Div(
            [
                parts.plot("error", "Test error", "on readings nobody has trained on yet; dashed: baseline"),
                parts.plot("loss", "Training loss", "thick: all clients", [losses]),
                parts.plot("divergence", "Divergence", "from the global model", [measures]),
            ],
            className="grid",
        ),
        parts.panel("History", "the newest first", html.Div(id="rounds-history"), name="history"),
        words.explain("loss", "baseline", "test error", "divergence", "cosine", "staleness", "cohort"),
    ]


def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
    """Show what is new."""
    news = [snapshot.changed["status"], snapshot.changed["rounds"]]
    number, running = picks["at"], snapshot.status.get("running")
    # What runs gets older by itself
    answer.put("cards", [*news, running and round(time.time() / 2)], lambda: progress.cards(snapshot, time.time()))
    answer.put("history", [*news, snapshot.task], lambda: progress.history(snapshot))
    answer.put("said", [*news, number], lambda: progress.said(snapshot, number) if number else None)
    answer.put("clients", [*news, number], lambda: progress.clients(snapshot, number) if number else None)
    answer.put("chips", snapshot.changed["order"] + snapshot.changed["clients"], lambda: client_chips.chips(snapshot))
    entry = progress.found(snapshot, number) or {}
    shown = min(anatomy.MOST, len(entry.get("clients", ())))
    answer.put("height", shown, lambda: {"minHeight": f"{anatomy.FRAME_PX + anatomy.ROW_PX * max(3, shown)}px"})
    picks = {**picks, "when": picks["when"] or _WHEN[0], "measure": picks["measure"] or _MEASURE}
    for panel in PANELS:
        answer.plot(panel, snapshot, picks)


def _anatomy(snapshot: Snapshot, number: str | None) -> style.Figure:
    entry = progress.found(snapshot, number)
    return anatomy.figure(entry, time.time()) if entry and entry.get("clients") else {"data": [], "layout": {}}


PANELS = (
    Panel(
        "anatomy",
        ("rounds",),
        ("at",),
        lambda snapshot, picks: _anatomy(snapshot, picks["at"]),
        lambda snapshot, picks: "Nobody trained in this round: there is nothing to take apart." if picks["at"] else "",
    ),
    Panel(
        "error",
        ("rounds", "task"),
        ("focus",),
        lambda snapshot, picks: learning.error(snapshot, picked(snapshot, picks["focus"])),
        lambda snapshot, picks: sentences.no_error(snapshot),
    ),
    Panel(
        "loss",
        ("rounds",),
        ("focus", "when"),
        lambda snapshot, picks: learning.loss(snapshot, picked(snapshot, picks["focus"]), picks["when"]),
        lambda snapshot, picks: sentences.no_rounds(snapshot),
    ),
    Panel(
        "divergence",
        ("rounds",),
        ("focus", "measure"),
        lambda snapshot, picks: divergence.figure(snapshot, picked(snapshot, picks["focus"]), picks["measure"]),
        lambda snapshot, picks: sentences.no_parts(snapshot),
    ),
)
PAGE = Page(
    "rounds", "Rounds", "/rounds", layout, refresh,
    {
        "chips": Output("rounds-focus", "children"), "cards": Output("rounds-cards", "children"), "said": Output("rounds-said", "children"),
        "history": Output("rounds-history", "children"), "clients": Output("rounds-clients", "children"),
        "height": Output("anatomy-box", "style"),
    },
    {"at": "rounds-at", "focus": "rounds-focus", "when": "when", "measure": "measure"},
    PANELS,
    template="/rounds/<number>",
)  # fmt: skip
