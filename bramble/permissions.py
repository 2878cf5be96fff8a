"""Permissions of what a component writes: readings, models and histories are nobody else's to read on a shared machine."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077
"""Permissions that others do not get."""
FILES = ("bramble.db", "readings.db", "outbox.db")
"""What may be there from a release that asked the system what others may read; with their logs, locks and copies set aside."""


def own(folder: Path | None) -> None:
    """Let what this process makes be readable by its user alone, and so the databases that are in its data folder already.

    The folder itself, if it is there, keeps its permissions: other things may live in it.
    """
    os.umask(OTHERS)
    with suppress(OSError):  # the room itself says what it cannot make or read
        for file in [found for name in FILES for found in folder.glob(f"{name}*")] if folder else ():
            status = file.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & OTHERS:
                file.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
