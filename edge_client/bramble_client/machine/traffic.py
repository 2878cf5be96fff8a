"""What a client's connections have carried in a calendar month, as far as is known: kept over restarts and resets."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bramble_client.machine import disk

log = logging.getLogger(__name__)

FILE = "traffic.json"
WRITE_EVERY = 1 << 16
"""Bytes after which the count is written down; so many may be lost with the power."""


class Traffic:
    """Counts bytes by the month.

    Parameters
    ----------
    folder
        The client's data folder.
    carried
        Returns what its connections have carried since it was started.
    utc
        Returns the time in seconds since 1970 UTC, or None while nobody knows it: what is counted then belongs to the month before.
    """

    def __init__(self, folder: Path, carried: Callable[[], int], utc: Callable[[], float | None]) -> None:
        self._path, self._carried, self._utc = folder / FILE, carried, utc
        self._lock = threading.Lock()
        self._counted = 0
        """How much of what was carried is in the count."""
        self._month, self._bytes = self._read()
        self._written = self._bytes
        self._refused = False

    def used(self) -> int:
        """Return the bytes of this month."""
        with self._lock:
            carried = self._carried()
            self._bytes += carried - self._counted
            self._counted = carried
            now = self._utc()
            month = time.strftime("%Y-%m", time.localtime(now)) if now is not None else self._month
            if month != self._month:
                self._month, self._bytes = month, self._bytes if not self._month else 0
                self._write()
            elif self._bytes - self._written >= WRITE_EVERY:
                self._write()
            return self._bytes

    def keep(self) -> None:
        """Write the count down."""
        self.used()
        with self._lock:
            self._write()

    def next_month(self) -> float | None:
        """Return when the next month begins, seconds since 1970 UTC."""
        now = self._utc()
        if now is None:
            return None
        local = time.localtime(now)
        return time.mktime((local.tm_year, local.tm_mon + 1, 1, 0, 0, 0, 0, 0, -1))

    def _read(self) -> tuple[str, int]:
        try:
            told = json.loads(self._path.read_text("utf-8"))
            return str(told["month"]), max(0, int(told["bytes"]))
        except FileNotFoundError:
            return "", 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s); this month's bytes are counted from now on", self._path, error)
            return "", 0

    def _write(self) -> None:
        part = self._path.with_suffix(".part")
        try:
            with part.open("w", encoding="utf-8") as file:  # whole or not at all, whatever becomes of the power
                json.dump({"month": self._month, "bytes": self._bytes}, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
            self._written, self._refused = self._bytes, False
        except OSError as error:
            if not self._refused:
                log.error(
                    "%s cannot be written (%s); a restart forgets some of this month's bytes", self._path, disk.remedy(part.parent, error)
                )
            self._refused = True
            with contextlib.suppress(OSError):
                part.unlink()
