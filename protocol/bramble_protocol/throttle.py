"""How often somebody may try what went wrong before: so often at once, and then ever more slowly."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from bramble_protocol.clock import Clock

REMEMBERED = 10_000
"""Keys whose tries are counted."""


class Throttle:
    """Counts tries by a key, such as an address (:func:`bramble_protocol.addresses.owner`).

    Parameters
    ----------
    burst
        Tries that are free at once.
    pause
        Seconds after which one more is.
    clock
        Says how many seconds have gone by.
    """

    def __init__(self, burst: int, pause: float, clock: Clock = time) -> None:
        self._burst, self._pause, self._clock = burst, pause, clock
        self._debts: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Return the seconds after which this one may try; 0 now, and then the try counts, whatever else is under way."""
        with self._lock:
            wait = self.wait(key)
            if not wait:
                self._put(key, 1)
        return wait

    def forgive(self, key: str) -> None:
        """Take back a try: it went well."""
        with self._lock:
            self._put(key, -1)

    def wait(self, key: str) -> float:
        """Return the seconds after which this one may try, without trying."""
        return max(0.0, (self.debt(key) - self._burst + 1) * self._pause)

    def debt(self, key: str) -> float:
        """Return how many of its tries are not forgotten yet."""
        debt, at = self._debts.get(key, (0.0, 0.0))
        return max(0.0, debt - (self._clock.monotonic() - at) / self._pause)

    def _put(self, key: str, change: int) -> None:
        self._debts[key] = (self.debt(key) + change, self._clock.monotonic())
        self._debts.move_to_end(key)
        if len(self._debts) > REMEMBERED:
            self._debts.popitem(last=False)
