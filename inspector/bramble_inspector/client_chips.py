"""Picking clients on a page whose plots draw many."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import html

from bramble_inspector import sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import style
from bramble_inspector.panels import offered

LONGEST_NAME = 32
"""Characters of a client's name on what it is picked by, which is to fit on a phone."""


def strip(name: str, picked: str | None) -> Any:
    """Return the strip of a page before its clients are known; ``picked`` are names with commas between."""
    return html.Div(dmc.ChipGroup(id=name, multiple=True, value=picked.split(",") if picked else []), className="focus", id=f"{name}-strip")


def chips(snapshot: Snapshot) -> Any:
    """Return what is in it: a chip for each client that can be drawn."""
    shown = offered(snapshot)
    made = [
        dmc.Chip(
            [
                html.I(className="dot", style={"background": style.colour(snapshot.order, client)}),
                html.Span(sentences.short(client, LONGEST_NAME), title=client),
            ],
            value=client, size="xs", variant="outline", color=style.colour(snapshot.order, client),
        )
        for client in shown
    ]  # fmt: skip
    hidden = len(snapshot.order) - len(shown)
    hint = f"Pick some of {len(snapshot.order)} clients to see only them" if hidden else "Pick clients to see only them"
    # before them: of many not all are in sight
    return [html.Span(hint, className="hint"), *made] if shown else []
