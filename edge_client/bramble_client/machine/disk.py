"""Why the disk takes nothing: it is full, it was turned read-only, or it fails. A Pi's card does each of them in time."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from pathlib import Path

REMEDIES = {
    "full": "make room on it",
    "read-only": "its file system is read-only, as a card's becomes after errors: see `dmesg`, then replace the card, or remount it",
    "failing": "see `dmesg`; a card that reports errors must be replaced",
}
"""States of a disk that takes nothing, in the words of ``bramble_protocol.health.DISK``, and what to do."""


def state(folder: Path, error: BaseException | None = None) -> str | None:
    """Return what is wrong with the disk below a folder, one of ``REMEDIES``, or None.

    Parameters
    ----------
    folder
        A folder that this process writes to.
    error
        Why a write failed, or may fail. With it the disk is tried out; without, only what costs nothing is asked.
    """
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return "read-only"
    except OSError:
        pass
    if error is None:
        return None
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return "full"
    # ext4 that stopped after an error does not always say so in its flags (kernel 6.15 and later): write, and see
    if largest(folder):
        return "full"
    probe = folder / f".probe-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(b"?")
            file.flush()
            os.fsync(file.fileno())
        probe.unlink()
    except OSError as refused:
        known = {errno.EROFS: "read-only", errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EACCES: None, errno.ENOENT: None}
        return known.get(refused.errno or 0, "failing")
    return "failing" if isinstance(error, sqlite3.Error) and "IOERR" in getattr(error, "sqlite_errorname", "") else None


def largest(folder: Path) -> Path | None:
    """Return a file that has grown as large as this process may make one, if there is any; a page of a database may not fit any more."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        return next((file for file in folder.iterdir() if file.is_file() and file.stat().st_size > limit - (64 << 10)), None)
    except OSError:
        return None


def remedy(folder: Path, error: BaseException) -> str:
    """Return a failed write's cause and what to do, as the end of a sentence."""
    if file := largest(folder):
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0] >> 20
        return f"{file.name} has reached the {limit:,} MB that a file may have (LimitFSIZE= in its unit); lower keep_samples, or raise that"
    found = state(folder, error)
    said = getattr(error, "strerror", None) or error
    return f"{said}; {REMEDIES[found]}" if found else str(said)
