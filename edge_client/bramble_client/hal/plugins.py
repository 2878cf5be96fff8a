"""What other packages offer a client. Most clients never ask, so what it takes to ask is loaded only then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points(group: str, name: str | None = None) -> Iterable[EntryPoint]:
    """Return what the installed packages register in a group, or of that what has a name."""
    from importlib import metadata

    return metadata.entry_points(group=group) if name is None else metadata.entry_points(group=group, name=name)
