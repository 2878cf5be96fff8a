"""When rounds start by themselves. Pure: it is told the time."""

from __future__ import annotations

import math

PAUSE = 10.0
"""Seconds after a round that came to nothing: what was missing (data, clients) does not come back at once."""


class Schedule:
    """Either so many rounds one after the other, or one at an interval, or none.

    Parameters
    ----------
    rounds
        Rounds to commit one after the other; one that came to nothing does not count.
    every
        Seconds from the start of one round to the start of the next.
    """

    def __init__(self, rounds: int | None = None, every: float | None = None) -> None:
        self._left = math.inf if every is not None else rounds or 0
        self._every = every or 0.0
        self._next = -math.inf

    def due(self, now: float) -> float | None:
        """Return seconds until the next round should start, given enough clients and that none runs; ``None`` for never."""
        return max(0.0, self._next - now) if self._left > 0 else None

    def started(self, now: float) -> None:
        """Note that a round started, by schedule or by hand."""
        self._next = now + self._every

    def ended(self, now: float, committed: bool) -> None:
        """Note how it ended."""
        if committed:
            self._left -= 1
        else:
            self._next = max(self._next, now + PAUSE)
