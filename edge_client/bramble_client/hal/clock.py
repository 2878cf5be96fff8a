"""Time as drivers see it, so that a simulated year need not take one: whether the date is right, too, and a way to wait."""

from __future__ import annotations

import ctypes
import logging
import time
from functools import cache
from typing import Protocol

from bramble_protocol import clock
from bramble_protocol.notify import TIMESYNCD

logger = logging.getLogger(__name__)

_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronised."""


class Clock(clock.Clock, Protocol):
    """A clock that knows whether its date is right, and can be waited for."""

    def utc(self) -> float | None:
        """Return seconds since 1970-01-01 UTC, or None until the wall clock is synchronised."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._synchronised = False

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    now = monotonic  # drivers that were written for release 0.1 call it so

    def time(self) -> float:
        """Return the wall clock, right or wrong."""
        return time.time()

    def utc(self) -> float | None:
        """Return the wall clock once it is known that something keeps it; a Pi has no battery and boots in the past."""
        if not self._synchronised:
            synchronised = clock_synchronised()
            if synchronised is None:
                _say_unknown()
            self._synchronised = synchronised is True
        return self.time() if self._synchronised else None

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class HostClock(SystemClock):
    """The machine's own clocks, its wall clock taken as it is: for simulated sensors, which nothing outside is in step with."""

    def utc(self) -> float:
        """Return the wall clock."""
        return self.time()


class VirtualClock:
    """A clock that waits by moving itself forward: a conversion of ten milliseconds costs no time."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def monotonic(self) -> float:
        """Return the seconds that have been slept or advanced."""
        return self._now

    now = monotonic

    def time(self) -> float:
        """Return the same time; whoever advances the clock says what it means."""
        return self._now

    def utc(self) -> float | None:
        """Return it, too: what it means is known."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move forward at once."""
        self._now += max(0.0, seconds)

    advance = sleep


def clock_synchronised() -> bool | None:
    """Say whether something keeps the wall clock, by adjtimex(2); None if nobody says so either way.

    A sandbox or a container may deny the call. Then timesyncd's mark decides, and without one nothing is known.
    """
    library = ctypes.CDLL(None)  # what is loaded already; to look for it on the disk would fork each time
    try:
        adjtimex = library.adjtimex
    except AttributeError:  # not Linux: a laptop, whose clock is kept
        return True
    # struct timex is 208 bytes on 64-bit, less on 32-bit machines; zeroed, its first field (modes) asks to change nothing
    state = int(adjtimex(ctypes.create_string_buffer(512)))
    if state < 0:
        return True if TIMESYNCD.exists() else None
    return state != _TIME_ERROR


@cache
def _say_unknown() -> None:
    logger.warning(
        "whether this machine's clock is synchronised cannot be asked (adjtimex is denied), so no reading is dated: allow the calls"
        " adjtimex, clock_adjtime and clock_adjtime64 in the service's SystemCallFilter or the container's seccomp profile,"
        " with ProtectClock=no"
    )
