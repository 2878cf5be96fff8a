"""A log of what clients do wrong, each line with the name of whom it is about, in which nobody can fill the disk."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict

from bramble_protocol.addresses import owner
from bramble_protocol.clock import Clock
from bramble_protocol.printable import printable

log = logging.getLogger(__name__)

BURST, INTERVAL = 10, 10.0
"""Lines about one client that are logged at once, and seconds after which one more is."""
ADDRESS_BURST, ADDRESS_INTERVAL = 100, 10.0
"""The same for all names that come from one address: a name costs nothing."""
TOTAL_BURST, TOTAL_INTERVAL = 500, 2.0
"""The same in all: some 43,000 lines a day at most, about ten megabytes."""
REMEMBERED = 1000
"""Names, and addresses, whose lines are counted."""


class _Bucket:
    def __init__(self, burst: int, interval: float, now: float) -> None:
        self._burst, self._interval = burst, interval
        self._tokens, self._when = float(burst), now
        self.unsaid = 0

    def has(self, now: float) -> bool:
        """Whether one more line may be logged."""
        self._tokens = min(self._burst, self._tokens + (now - self._when) / self._interval)
        self._when = now
        return self._tokens >= 1

    def take(self) -> int:
        """Spend a token on one line; return how many lines were not logged since the last one."""
        unsaid, self.unsaid = self.unsaid, 0
        self._tokens -= 1
        return unsaid


class _Buckets:
    """A bucket for each name of a kind; the one that was asked for longest ago is forgotten."""

    def __init__(self, burst: int, interval: float) -> None:
        self._burst, self._interval = burst, interval
        self._known: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, name: str, now: float) -> _Bucket:
        bucket = self._known.pop(name, None) or _Bucket(self._burst, self._interval, now)
        self._known[name] = bucket
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return bucket


class RateLimitedLog:
    """Token buckets: one for each name, one for each address, one for all.

    Parameters
    ----------
    clock
        Tells what time it is.
    """

    def __init__(self, clock: Clock = time) -> None:
        self._clock = clock
        self._names = _Buckets(BURST, INTERVAL)
        self._addresses = _Buckets(ADDRESS_BURST, ADDRESS_INTERVAL)
        self._total = _Bucket(TOTAL_BURST, TOTAL_INTERVAL, clock.monotonic())

    def about(
        self, name: str, sentence: str, level: int = logging.WARNING, *, address: str | None = None, error: BaseException | None = None
    ) -> None:
        """Log a sentence about a client, unless it, or its address, or everybody has been the subject of too many of late.

        Parameters
        ----------
        name
            Whom it is about, as the log calls it.
        address
            Where that one comes from.
        error
            What happened, if its traceback is of use to whoever mends this server.
        """
        now = self._clock.monotonic()
        buckets = [(self._names.of(name, now), "about it")]
        if address is not None:
            home = owner(address)
            buckets.append((self._addresses.of(home, now), f"from {home}"))
        buckets.append((self._total, "in all"))
        full = next((bucket for bucket, _ in buckets if not bucket.has(now)), None)
        if full is not None:
            full.unsaid += 1
            return
        unsaid = [f"{count} more {whose} were not logged" for bucket, whose in buckets if (count := bucket.take())]
        more = f" ({', '.join(unsaid)})" if unsaid else ""
        log.log(level, "%s: %s%s", printable(name), printable(sentence), more, exc_info=error)
