"""Keeps memory for the next round, and gives back what a crowd's messages took.

By itself the C library gives each large array back as it goes, and the kernel then clears a fresh page for every 4 kB of the next one: with
a model of a million parameters six thousand a round. What is free among what is not it keeps for ever.
"""

from __future__ import annotations

import contextlib
import ctypes

from bramble_server.loop import Loop
from bramble_server.metrics import Traffic

EVERY_S = 10.0
ENOUGH = 1 << 22
"""Bytes that came in since, below which there is little to give back."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of glibc's ``mallopt``."""
KEPT, LARGEST = 1 << 28, 1 << 23
"""Bytes that may be free at the end of the heap, and of the largest array that is taken from there: a larger one would leave a hole
that only as large a one fills, and a crowd's messages of that size would take more than they need.
"""


def start(loop: Loop, traffic: Traffic) -> None:
    """Keep what is free from here on, look now and then whether much came in, and give back what it took."""
    with contextlib.suppress(AttributeError):  # another C library than glibc
        libc = ctypes.CDLL(None)
        if libc.mallopt(_MMAP_THRESHOLD, LARGEST):  # not on 32 bits, where it goes by what was given back last
            libc.mallopt(_TRIM_THRESHOLD, KEPT)

    def look() -> None:
        pause, seen = loop.event(), 0
        while not pause.wait(EVERY_S):
            if traffic.received - seen >= ENOUGH:
                seen = traffic.received
                loop.offload(_trim)

    loop.spawn(look)


def _trim() -> None:
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
