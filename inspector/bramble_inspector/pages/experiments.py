"""Experiments: runs of simulations, one over the other."""

from __future__ import annotations

from typing import Any

from bramble.api import JSON
from bramble_inspector import parts
from bramble_inspector.feed import Snapshot
from bramble_inspector.live import Answer, Page


def layout(**_: str) -> list[Any]:
    """Return the page."""
    return [parts.empty("No run of an experiment is shown here yet. `bramble experiment` runs one, and draws what came of it.")]


def refresh(answer: Answer, snapshot: Snapshot, picks: JSON) -> None:
    """Nothing on it changes by itself."""


PAGE = Page("experiments", "Experiments", "/experiments", layout, refresh)
