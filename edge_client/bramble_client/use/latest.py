"""The file in which a client says what it knows now, for other programs on the same machine; replaced as a whole each time."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

NAME = "latest.json"
FORMAT = 1
"""Of the file; a reader that knows it may go by the fields that are documented in ``docs/on-the-device.md``."""


class Latest:
    """Writes the file. Nothing is flushed to the disk: after a power cut what was forecast before it is of no use.

    Parameters
    ----------
    path
        The file; readable by everybody who may enter its folder.
    client
        Whose it is.
    now
        Says when it was written, in seconds since 1970-01-01 UTC; None where that is not known.
    """

    def __init__(self, path: Path, client: str, now: Callable[[], float | None]) -> None:
        self._path, self._client, self._now = path, client, now
        self._tasks: dict[str, dict[str, Any]] = {}
        self._said = False

    def tell(self, task: str, found: dict[str, Any]) -> None:
        """Say what is known of a task."""
        self._tasks[task] = found
        self._write()

    def forget(self, task: str | None = None) -> None:
        """Say nothing more of a task, or of any."""
        self._tasks = {} if task is None else {name: found for name, found in self._tasks.items() if name != task}
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        if self._tasks:
            self._write()

    def _write(self) -> None:
        other = self._path.with_name(self._path.name + ".new")
        told = {"format": FORMAT, "client": self._client, "written": self._now(), "tasks": self._tasks}
        try:
            other.write_text(json.dumps(told, ensure_ascii=False) + "\n", "utf-8")
            other.chmod(0o644)
            os.replace(other, self._path)
        except OSError as error:
            if not self._said:
                log.warning("%s cannot be written (%s): other programs do not see what is forecast here", self._path, error.strerror)
            self._said = True
            return
        self._said = False
