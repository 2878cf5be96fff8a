"""How a process asks for memory: sparingly, for a Pi has little and a client two processes."""

from __future__ import annotations

import contextlib
import ctypes

SMALL = 1 << 16
"""Bytes from which on an array has pages of its own, which go back to the system as soon as it is gone."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""glibc's, from malloc.h."""


def frugal() -> None:
    """Have freed memory go back to the system at once, and threads share one heap. With another C library than glibc nothing changes."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for setting, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, SMALL), (_TRIM_THRESHOLD, SMALL)):
            mallopt(setting, value)
