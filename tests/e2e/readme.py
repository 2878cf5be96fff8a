"""The README's commands, and a shell to paste them into."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh *(\w*)\n(.*?)^```", README, re.M | re.S)


def script(kind: str) -> str:
    return "\n".join(body for name, body in BLOCKS if name == kind)


LOOPBACK_UP = (
    "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 0x41))"  # SIOCSIFFLAGS: up and running
)


def paste(text: str, folder: Path, within: float = 180.0, **variables: str) -> str:
    """Paste lines into a shell in a network of its own, where every port is free, with these variables; return all that was printed."""
    unshare = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRAMBLE_")}
    environment = {**inherited, "HOME": str(folder), **variables}
    with (folder / "out").open("w+", encoding="utf-8") as out:
        process = subprocess.Popen(
            [*unshare, "bash"], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=environment,
            start_new_session=True, text=True,
        )  # fmt: skip
        try:
            process.communicate(f'"{sys.executable}" -c "{LOOPBACK_UP}"\n{text}\n', timeout=within)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        return out.read()
