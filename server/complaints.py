"""What the log says about clients: each complaint is logged with the client's name, and nobody can fill the disk with them."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

log = logging.getLogger(__name__)

BURST = 10
"""Complaints about one client that are logged at once."""
INTERVAL = 10.0
"""Seconds after which one more is logged."""
REMEMBERED = 1000
LONGEST = 300


class Complaints:
    """A token bucket for each name.

    Parameters
    ----------
    clock
        Returns seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float, int]] = OrderedDict()

    def about(self, name: str, sentence: str, level: int = logging.WARNING) -> None:
        """Log a sentence about a client, unless it has been the subject of too many of late."""
        now = self._clock()
        tokens, when, unsaid = self._buckets.pop(name, (float(BURST), now, 0))
        tokens = min(BURST, tokens + (now - when) / INTERVAL)
        if tokens >= 1:
            more = f" ({unsaid} more about it were not logged)" if unsaid else ""
            log.log(level, "%s: %s%s", name, printable(sentence), more)
            tokens, unsaid = tokens - 1, 0
        else:
            unsaid += 1
        self._buckets[name] = (tokens, now, unsaid)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)


def printable(text: str) -> str:
    """Return a text that cannot forge a line of a log or upset a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:LONGEST])
