"""The demo's child processes: each writes to a log of its own, and all of them end together."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bramble_protocol import BrambleError

GRACE_S = 5.0
"""Every command ends within this many seconds of SIGTERM; what does not is killed."""


class ProcessDied(BrambleError):
    """A child ended by itself; the text ends with the last lines of its log."""


class Family:
    """Starts ``python -m bramble ...`` children and ends them, whatever happens.

    Parameters
    ----------
    logs
        Folder in which each child's ``NAME.log`` is written.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, subprocess.Popen[str]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, *arguments: str, ready: str | None = None, within: float = 60.0) -> str:
        """Start a child; with ``ready``, wait for the stdout line that begins so, and return what follows it.

        Raises
        ------
        ProcessDied
            If it ends before it is ready, or is not ready in time.
        """
        log = (self._logs / f"{name}.log").open("ab")
        with log:
            child = subprocess.Popen(
                [sys.executable, "-m", "bramble", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends its children in order
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._children[name] = child
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._drain, args=(child, lines), daemon=True).start()
        return self._await(name, lines, ready, time.monotonic() + within) if ready is not None else ""

    @staticmethod
    def _drain(child: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line.rstrip("\n"))
        lines.put("")  # the end: wakes whoever waits

    def _await(self, name: str, lines: queue.Queue[str], ready: str, until: float) -> str:
        while True:
            try:
                line = lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise ProcessDied(f"{name} was not ready in time; its log ends:\n{self.tail(name)}") from None
            if line.startswith(ready):
                return line[len(ready) :]
            if not line and self._children[name].wait(GRACE_S) is not None:
                self.check()

    def check(self) -> None:
        """Raise ``ProcessDied`` if a child has ended."""
        for name, child in self._children.items():
            code = child.poll()
            if code is not None:
                raise ProcessDied(f"{name} ended with code {code}; its log ends:\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 8) -> str:
        """Return the last lines of a child's log."""
        text = (self._logs / f"{name}.log").read_text("utf-8", "replace").rstrip().splitlines()
        return "\n".join(f"  {line}" for line in text[-lines:])

    def stop(self) -> None:
        """End every child: SIGTERM to all, then SIGKILL for those that do not listen."""
        for child in reversed(self._children.values()):
            child.send_signal(signal.SIGTERM)
        until = time.monotonic() + GRACE_S
        for child in self._children.values():
            try:
                child.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    @property
    def names(self) -> Sequence[str]:
        """Names of the children."""
        return tuple(self._children)
