"""One event, one line: on a terminal with the time, in systemd's journal, which knows the time, with the priority instead."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from bramble_protocol.printable import printable

TERMINAL = "%(asctime)s %(levelname)s %(name)s: %(message)s"
JOURNAL = "%(levelname)s %(name)s: %(message)s"
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class Formatter(logging.Formatter):
    """Makes every record printable: what a peer said may be in any of them, and must not forge lines or steer a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        record.message = printable(record.message, None)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """Return the lines of a traceback."""
        return "\n".join(printable(line, None) for line in super().formatException(ei).splitlines())


class JournalFormatter(Formatter):
    """Puts the syslog priority in front of every line, as ``sd-daemon(3)`` says, so that ``journalctl -p warning`` finds it."""

    def __init__(self) -> None:
        super().__init__(JOURNAL)

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        priority = next(number for level, number in _PRIORITIES.items() if record.levelno >= level or level == logging.DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def to_journal() -> bool:
    """Whether stderr goes to the journal: systemd names its device and inode."""
    try:
        device, inode = map(int, os.environ.get("JOURNAL_STREAM", "").split(":"))
        status = os.fstat(sys.stderr.fileno())
    except (ValueError, OSError):
        return False
    return (status.st_dev, status.st_ino) == (device, inode)


def configure(level: int) -> None:
    """Log to stderr from this level on.

    No line says which thread, process or place of the source it is of, and to find that out is half of what a line costs
    (https://docs.python.org/3/howto/logging.html#optimization).
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JournalFormatter() if to_journal() else Formatter(TERMINAL))
    logging.basicConfig(level=level, handlers=[handler])
