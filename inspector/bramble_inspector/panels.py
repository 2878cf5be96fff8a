"""A plot on a page: what it is drawn from, and what it says while it is empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import style

OFFERED = 60
"""Clients of which each has something to be picked by; of more, those that are connected come first."""


@dataclass(frozen=True)
class Panel:
    """One plot.

    Parameters
    ----------
    name
        Its id, on all pages.
    parts
        Those of the snapshot that it depends on, as ``Snapshot.changed`` names them.
    picks
        What the reader picked that it depends on.
    draw
        The figure, of the snapshot and what the reader picked.
    empty
        The sentence that says what to do while the figure has no data.
    """

    name: str
    parts: tuple[str, ...]
    picks: tuple[str, ...]
    draw: Callable[[Snapshot, dict[str, Any]], style.Figure]
    empty: Callable[[Snapshot, dict[str, Any]], str]

    def mark(self, snapshot: Snapshot, picks: dict[str, Any]) -> str:
        """Return what this panel depends on; while it stays the same, there is nothing to redraw."""
        marks = [snapshot.changed[part] for part in ("order", *self.parts)]
        return " ".join([*marks, *(repr(picks[pick]) for pick in self.picks)])

    def figure(self, snapshot: Snapshot, picks: dict[str, Any]) -> style.Figure:
        """Draw it. A reader's zoom holds for one task: the axes of another are its own."""
        figure = self.draw(snapshot, picks)
        if view := figure["layout"].get("uirevision"):
            figure["layout"]["uirevision"] = f"{snapshot.task} {view}"
        return figure


def picked(snapshot: Snapshot, focus: list[str] | None) -> list[str]:
    """Return the clients to draw, in their fixed order: those that the reader picked, or else all."""
    return [client for client in snapshot.order if client in (focus or ())] or list(snapshot.order)


def offered(snapshot: Snapshot) -> list[str]:
    """Return the clients that can be picked, in their fixed order."""
    order = list(snapshot.order)
    if len(order) > OFFERED:
        order.sort(key=lambda client: not snapshot.clients.get(client, {}).get("connected", False))
        chosen = set(order[:OFFERED])
        order = [client for client in snapshot.order if client in chosen]
    return order
