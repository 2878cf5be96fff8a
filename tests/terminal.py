"""A terminal with a shell in it, as a person has one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pexpect
import psutil  # type: ignore[import-untyped]

from tests.pasted import LOOPBACK_UP, UNSHARE, environment

SHELLS = {"bash": ["bash", "--norc"], "zsh": ["zsh", "--no-rcs"]}
"""As somebody has them who never wrote a file for them."""


class Terminal:
    """A shell at a terminal, into which a person pastes, and who reads what it says."""

    def __init__(self, shell: str, folder: Path) -> None:
        command = [*UNSHARE, *SHELLS[shell], "-i"]
        self._child = pexpect.spawn(
            command[0], command[1:], cwd=str(folder), env=environment(folder), encoding="utf-8", dimensions=(50, 200), timeout=60
        )
        self.shown = ""
        self.paste(f'"{sys.executable}" -c "{LOOPBACK_UP}"\n')

    def paste(self, text: str) -> None:
        """Paste lines, all at once."""
        self._child.send(text)

    def read(self, expression: str) -> None:
        """Read on until something is said."""
        try:
            self._child.expect(expression)
        except pexpect.TIMEOUT:
            raise AssertionError(f"{expression!r} was not said:\n{self.shown[-2000:]}{self._child.before[-2000:]}") from None
        self.shown += f"{self._child.before}{self._child.after}"

    def end(self) -> None:
        """Leave the shell, with whatever it started."""
        started = psutil.Process(self._child.pid).children(recursive=True) if self._child.isalive() else []
        self._child.close(force=True)
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@contextmanager
def terminal(shell: str, folder: Path) -> Iterator[Terminal]:
    """Open a shell at a terminal."""
    opened = Terminal(shell, folder)
    try:
        yield opened
    finally:
        opened.end()
