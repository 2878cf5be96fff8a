"""Models: the versions of the global model that are kept."""

from __future__ import annotations

from typing import Any

from dash import Output, html

from bramble.api import JSON
from bramble_inspector import header, parts
from bramble_inspector.feed import Snapshot
from bramble_inspector.live import Answer, Page


def layout(**_: str) -> list[Any]:
    """Return the page."""
    return [html.Div(id="models-cards", className="cards")]


def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
    """Show what is new."""
    answer.put("cards", [snapshot.changed["status"], snapshot.changed["rounds"]], lambda: _cards(snapshot))


def _cards(snapshot: Snapshot) -> Any:
    if not snapshot.status:
        return parts.empty("Nothing is known of the fleet yet: the server has not answered.")
    if not snapshot.committed:
        return parts.empty("Only the initial model yet. A round makes the next: press Start round, or `bramble round start`.")
    return header.summary(snapshot)[::2]


PAGE = Page(
    "models", "Models", "/models", layout, refresh, {"cards": Output("models-cards", "children")}, template="/models/<number>"
)  # fmt: skip
