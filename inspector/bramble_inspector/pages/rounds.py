"""Rounds: how the fleet learns, round by round."""

from __future__ import annotations

from typing import Any

from dash import Output, html

from bramble.api import JSON
from bramble_inspector import client_chips, parts, sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import divergence, learning
from bramble_inspector.live import Answer, Page
from bramble_inspector.panels import Panel, picked

_MEASURES = [{"value": key, "label": key.replace("_", " ")} for key in divergence.MEASURES]
_WHEN = ("before", "after")
_MEASURE = next(iter(divergence.MEASURES))


def layout(when: str | None = None, measure: str | None = None, focus: str | None = None, number: str | None = None, **_: str) -> list[Any]:
    """Return the page."""
    losses = parts.pick("when", _WHEN, parts.known(when, _WHEN, _WHEN[0]), "Before or after local training")
    measures = parts.pick("measure", _MEASURES, parts.known(measure, divergence.MEASURES, _MEASURE), "Measure of divergence")
    return [
        client_chips.strip("rounds-focus", focus),
        html.Div(
            [
                parts.plot("error", "Test error", "on readings nobody has trained on yet; dashed: baseline"),
                parts.plot("loss", "Training loss", "thick: all clients", [losses]),
                parts.plot("divergence", "Divergence", "from the global model", [measures]),
            ],
            className="grid",
        ),
    ]


def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
    """Show what is new."""
    answer.put("chips", snapshot.changed["order"] + snapshot.changed["clients"], lambda: client_chips.chips(snapshot))
    picks = {**picks, "when": picks["when"] or _WHEN[0], "measure": picks["measure"] or _MEASURE}
    for panel in PANELS:
        answer.plot(panel, snapshot, picks)


PANELS = (
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
        lambda snapshot, picks: sentences.no_rounds(snapshot),
    ),
)
PAGE = Page(
    "rounds", "Rounds", "/rounds", layout, refresh,
    {"chips": Output("rounds-focus", "children")},
    {"focus": "rounds-focus", "when": "when", "measure": "measure"},
    PANELS,
    template="/rounds/<number>",
)  # fmt: skip
