"""A fair share of the one loop that serves everybody: who always has more to say waits, and nobody else does.

Bytes that are always ready are read without ever letting go of the loop. So whoever reads takes a share for each frame or
request: every few shares all others get their turn, and beyond a rate, of the connection and of its address, the reader
sleeps. Nothing is refused and nothing is lost: what is not read waits in the sender's own memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from bramble_protocol.clock import Clock

TURN = 4
"""Shares after which all others get their turn."""


@dataclass(frozen=True)
class Rate:
    """Shares a second in the long run, and how many at once after a rest."""

    each_second: float
    burst: float


@dataclass(frozen=True)
class Rates:
    """What one connection may take, and what all connections of one address may take together."""

    connection: Rate
    address: Rate


STRANGER = Rates(Rate(50, 200), Rate(300, 3000))
"""HTTP requests, and frames before the handshake. A thousand clients behind one address come back at once: three shares each."""
CLIENT = Rates(Rate(500, 1000), Rate(4000, 8000))
"""Frames of clients that were let in: more than a client of a loopback round sends, more than one core answers in all."""


class Bucket:
    """Counts what was taken at a rate. Whoever takes too much is told how long to wait, each behind the one before."""

    __slots__ = ("_full", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._full = -math.inf  # when all that was taken has been earned

    def take(self, amount: float, now: float) -> float:
        """Take an amount; return the seconds to wait before using it."""
        rate = self._rate
        self._full = max(self._full, now - rate.burst / rate.each_second) + amount / rate.each_second
        return max(0.0, self._full - now)


class Share:
    """One connection's share.

    Parameters
    ----------
    own, address
        What the connection, and all those of its address, have taken.
    sleep
        Lets everybody else run for so many seconds; for 0 seconds, until all that are ready had their turn.
    clock
        Says how much was earned meanwhile.
    """

    def __init__(self, own: Bucket, address: Bucket, sleep: Callable[[float], object], clock: Clock = time) -> None:
        self.own, self.address, self._sleep, self._clock = own, address, sleep, clock
        self._turns = 0

    def take(self, amount: float = 1.0) -> None:
        """Take so many shares, and wait until that is fair. Nothing at all still counts for the turns."""
        self._turns += 1
        if amount:
            now = self._clock.monotonic()
            wait = max(self.own.take(amount, now), self.address.take(amount, now))
            if wait:
                self._turns = 0
                self._sleep(wait)
                return
        if self._turns >= TURN:
            self._turns = 0
            self._sleep(0)

    def rest(self, seconds: float) -> None:
        """Sleep for so many seconds, in which everybody else runs."""
        self._turns = 0
        self._sleep(seconds)
