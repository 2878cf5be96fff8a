"""The commands of a page, and a shell to paste them into."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
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
