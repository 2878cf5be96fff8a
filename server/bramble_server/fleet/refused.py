"""Recent refusals for a wrong token: of a client that was taken out, or whose card was copied."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

REMEMBERED = 100
"""Names at most: a name costs nothing."""
RECENT_S = 900.0
"""Seconds for which a refusal is of interest. A client that is refused for good tries every five minutes or so."""


class Refused:
    """Remembers refusals by the name that was given."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def note(self, name: str, address: str, now: float) -> None:
        """Remember a refusal; the oldest goes when there are too many."""
        self._found.pop(name, None)
        self._found[name] = (address, now)
        if len(self._found) > REMEMBERED:
            self._found.popitem(last=False)

    def let_in(self, name: str) -> None:
        """Forget what was noted about a name whose owner has come."""
        self._found.pop(name, None)

    def to_json(self, now: float) -> dict[str, Any]:
        """Return the refusals of late: address and Unix time by name."""
        return {name: {"address": address, "at": when} for name, (address, when) in self._found.items() if now - when <= RECENT_S}
