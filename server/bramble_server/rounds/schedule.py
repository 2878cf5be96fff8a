"""When rounds start by themselves. Pure: it is told the time."""

from __future__ import annotations

import math

PAUSE = 10.0
"""Seconds after a round that came to nothing: what was missing (data, clients) does not come back at once."""


class Schedule:
    """Either so many rounds one after the other, or one at an interval, or none; or one after the other once somebody started one.

    Parameters
    ----------
    rounds
        Rounds to commit one after the other; one that came to nothing does not count.
    every
        Seconds from the start of one round to the start of the next.
    lasting
        Whether rounds that somebody started go on until :meth:`stop`.
    """

    def __init__(self, rounds: int | None = None, every: float | None = None, lasting: bool = False) -> None:
        self._left = math.inf if every is not None else rounds or 0
        self._every = every or 0.0
        self._next = -math.inf
        self._lasting = lasting

    @property
    def going(self) -> bool:
        """Whether rounds follow by themselves, and at once."""
        return self._lasting and self._left > 0

    @property
    def last(self) -> bool:
        """Whether the round that is open is the last of so many."""
        return self._left <= 1

    def follows(self, now: float) -> bool:
        """Whether another round starts as soon as the one that is open is committed."""
        return self._left > 1 and self._next <= now

    def stop(self) -> None:
        """Have no further round start by itself until somebody starts one."""
        self._left = 0

    def hasten(self) -> None:
        """Have one round start as soon as it can; where rounds follow one another anyway nothing changes."""
        if not self._lasting:
            self._left, self._next = max(self._left, 1), -math.inf

    def due(self, now: float) -> float | None:
        """Return seconds until the next round should start, given enough clients and that none runs; ``None`` for never."""
        return max(0.0, self._next - now) if self._left > 0 else None

    def started(self, now: float) -> None:
        """Note that a round started, by schedule or by hand, or in a former process."""
        if self._lasting and self._left <= 0:
            self._left = math.inf
        self._next = now + self._every

    def ended(self, now: float, committed: bool) -> None:
        """Note how it ended."""
        if committed:
            self._left -= 1
        else:
            self._next = max(self._next, now + PAUSE)
