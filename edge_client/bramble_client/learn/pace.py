"""What a local run goes by between two calls of its graph: who waits for it, how long, whether this Pi may train, and how fast."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from bramble_protocol.clock import Clock
from bramble_protocol.errors import BrambleError

REST = 1.0
"""Seconds that a machine rests for each that it worked, while it is hot or throttled."""


class BrokenOff(BrambleError):
    """A run was cancelled, since a newer request, a reset or the round's end made its result useless."""


class NotNow(BrambleError):
    """The Pi's owner does not let it train now; the text says why, and until when."""


@dataclass(frozen=True)
class Pace:
    """How a run is to go on; by default to its end, as fast as it can."""

    wanted: Callable[[], bool] = lambda: True
    """Whether anybody still waits for its result."""
    halted: Callable[[], str | None] = lambda: None
    """Why it may not go on for the time being, as :class:`NotNow` says it."""
    strained: Callable[[], bool] = lambda: False
    """Whether the machine is hot or throttled."""
    rest: Callable[[float], object] = lambda seconds: None
    """Waits so many seconds at most; by default nobody does, for nothing is strained then."""
    until: float = math.inf
    """When its result must be on its way, on the monotonic clock."""
    clock: Clock = time

    @property
    def left(self) -> float:
        """Seconds until then."""
        return self.until - self.clock.monotonic()

    def breathe(self, worked: float, spare: float) -> None:
        """Rest after so many seconds of work where the machine is strained, and no longer than there are seconds to spare."""
        seconds = min(REST * worked, spare)
        if seconds > 0 and self.strained():
            self.rest(seconds)


UNBOUND = Pace()
