"""Gives memory back that a crowd's messages took: the C library keeps what is free among what is not."""

from __future__ import annotations

import contextlib
import ctypes

from bramble_server.loop import Loop
from bramble_server.metrics import Traffic

EVERY_S = 10.0
ENOUGH = 1 << 22
"""Bytes that came in since, below which there is little to give back."""


def start(loop: Loop, traffic: Traffic) -> None:
    """Look now and then whether much came in, and give back what it took."""

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
