"""The commands of a page, and shells to paste them into."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pexpect
import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
SHELLS = {"bash": ["bash", "--norc"], "zsh": ["zsh", "--no-rcs"]}
"""As somebody has them who never wrote a file for them."""
UNSHARE = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
"""A network of its own, where every port is free."""
LOOPBACK_UP = (
    "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 0x41))"  # SIOCSIFFLAGS: up and running
)


def blocks(page: str) -> list[tuple[str, str]]:
    """Return a page's blocks of commands, each with the word behind ``sh``: which machine they are for."""
    return re.findall(r"^```sh *([^\n]*)\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)


def script(page: str, kind: str) -> str:
    """Return all commands of a page that are for one machine."""
    return "\n".join(body for name, body in blocks(page) if name == kind)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return what a shell in a folder knows: nothing of how this process was started for Bramble."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRAMBLE_")}
    return {**inherited, "HOME": str(folder), **variables}


def paste(text: str, folder: Path, within: float = 180.0, **variables: str) -> str:
    """Paste lines into a shell that nobody looks at, with these variables; return all that was printed."""
    with (folder / "out").open("w+", encoding="utf-8") as out:
        process = subprocess.Popen(
            [*UNSHARE, "bash"], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, cwd=folder,
            env=environment(folder, **variables), start_new_session=True, text=True,
        )  # fmt: skip
        try:
            process.communicate(f'"{sys.executable}" -c "{LOOPBACK_UP}"\n{text}\n', timeout=within)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        return out.read()


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
