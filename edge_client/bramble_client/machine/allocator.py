"""How a process asks for memory: sparingly, for a Pi has little and a client two processes."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
from collections.abc import Iterator
from pathlib import Path

SMALL = 1 << 16
"""Bytes from which on an array has pages of its own, which go back to the system as soon as it is gone."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""glibc's, from malloc.h."""
_DONTNEED = 4
"""Linux's, from mman.h."""
_CODE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ [1-9]\d*\s", re.ASCII)
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ ", re.ASCII)


def frugal() -> None:
    """Have freed memory go back to the system at once, and threads share one heap. With another C library than glibc nothing changes."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for setting, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, SMALL), (_TRIM_THRESHOLD, SMALL)):
            mallopt(setting, value)


def let_go() -> None:
    """Give back what only the start of a process took: memory that is free again, and pages of libraries.

    The kernel maps sixteen pages where one is read, and loading a library reads all over it: of the runtime's 12 MB a local run needs 5.
    A page that is used after all comes back from its file by itself.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # a system without them keeps the pages
        library = ctypes.CDLL(None)
        madvise = library.madvise
        for start, end in _code(Path("/proc/self/smaps").read_text()):
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)
        library.malloc_trim(0)


def _code(smaps: str) -> Iterator[tuple[int, int]]:
    """Yield where files are mapped that can only be read and run, and where no page differs from its file."""
    found = None
    for line in smaps.splitlines():
        if _MAPPING.match(line):
            found = _CODE.match(line)
        elif found and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield int(found[1], 16), int(found[2], 16)
