"""What the standard library leaves to do where bytes must be written whole, and survive a power cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

try:
    from isal.isal_zlib import crc32 as _crc32  # ten times as quick; no wheel for a 32-bit Pi
except ImportError:
    from zlib import crc32 as _crc32

crc32: Callable[..., int] = _crc32
"""See :func:`zlib.crc32`."""


def write_at(file: int, data: bytes | memoryview, start: int) -> None:
    """Write all of it to a file from a place on."""
    rest = memoryview(data)
    while rest:
        count = os.pwrite(file, rest, start)
        rest, start = rest[count:], start + count


def sync_folder(folder: Path) -> None:
    """Have the names of the files in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
