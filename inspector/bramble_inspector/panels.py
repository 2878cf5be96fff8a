"""The plots of the page: what each is drawn from, and what it says while it is empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bramble_inspector import sentences
from bramble_inspector.feed import Snapshot
from bramble_inspector.figures import divergence, forecast, learning, streams, style

MAX_CLIENTS = 60
"""Clients drawn when none are picked: more lines in one plot tell nothing, and cost the browser its fluency."""


@dataclass(frozen=True)
class Choice:
    """What the reader picked on the page."""

    focus: tuple[str, ...]
    channel: str
    span: int | None
    when: str
    measure: str
    server: str

    def clients(self, snapshot: Snapshot) -> list[str]:
        """Return the clients to draw, in their fixed order."""
        picked = [client for client in snapshot.order if client in self.focus]
        return picked or candidates(snapshot)


@dataclass(frozen=True)
class Panel:
    """One plot: ``parts`` of the snapshot and ``picks`` of the choice that it depends on, and how it is drawn."""

    name: str
    parts: tuple[str, ...]
    picks: tuple[str, ...]
    draw: Callable[[Snapshot, Choice], style.Figure]
    empty: Callable[[Snapshot, Choice], str]

    def mark(self, snapshot: Snapshot, choice: Choice) -> str:
        """Return what this panel depends on; while it stays the same, there is nothing to redraw."""
        marks = [snapshot.changed[part] for part in ("order", *self.parts)]
        return " ".join([*marks, *(repr(getattr(choice, pick)) for pick in ("focus", *self.picks))])

    def figure(self, snapshot: Snapshot, choice: Choice) -> style.Figure:
        """Draw it. A reader's zoom holds for one task: the axes of another are its own."""
        figure = self.draw(snapshot, choice)
        if view := figure["layout"].get("uirevision"):
            figure["layout"]["uirevision"] = f"{snapshot.task} {view}"
        return figure


def candidates(snapshot: Snapshot) -> list[str]:
    """Return the clients that can be drawn: at most ``MAX_CLIENTS``, connected ones first, in their fixed order."""
    order = list(snapshot.order)
    if len(order) > MAX_CLIENTS:
        order.sort(key=lambda client: not snapshot.clients.get(client, {}).get("connected", False))
        chosen = set(order[:MAX_CLIENTS])
        order = [client for client in snapshot.order if client in chosen]
    return order


PANELS = (
    Panel(
        "streams",
        ("readings", "task"),
        ("channel", "span"),
        lambda snapshot, choice: streams.figure(snapshot, choice.clients(snapshot), choice.channel, choice.span),
        lambda snapshot, choice: sentences.no_readings(snapshot, choice.server),
    ),
    Panel(
        "forecast",
        ("readings", "rounds", "task"),
        (),
        lambda snapshot, choice: forecast.figure(snapshot, choice.clients(snapshot)),
        lambda snapshot, choice: sentences.no_forecasts(snapshot, choice.server),
    ),
    Panel(
        "loss",
        ("rounds",),
        ("when",),
        lambda snapshot, choice: learning.loss(snapshot, choice.clients(snapshot), choice.when),
        lambda snapshot, choice: sentences.no_rounds(snapshot),
    ),
    Panel(
        "error",
        ("rounds", "task"),
        (),
        lambda snapshot, choice: learning.error(snapshot, choice.clients(snapshot)),
        lambda snapshot, choice: sentences.no_error(snapshot),
    ),
    Panel(
        "divergence",
        ("rounds",),
        ("measure",),
        lambda snapshot, choice: divergence.figure(snapshot, choice.clients(snapshot), choice.measure),
        lambda snapshot, choice: sentences.no_rounds(snapshot),
    ),
)
