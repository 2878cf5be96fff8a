"""What a run's hosts leave on this machine when it ends without switching them off, and who takes that away.

Everything is named after the process that made it. Beside each run a watcher waits, in a session of its own, for that process's end,
however it comes about: killed, stopped by a signal that its test runner does not wait for, or in peace, when nothing is left to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.fleet.kill import kill_all
from tests.fleet.network import clear_namespaces

ROOT = Path(__file__).parents[2]
SPACE = Path("/var/tmp")
PREFIX = "bramble-fleet"
PEACE = b"closed"
"""What the watcher is told by who has switched all hosts off."""
MACHINE = Path(__file__).with_name("machine.sh")


def watch() -> subprocess.Popen[bytes]:
    """Start the watcher of this process: it begins when its input ends without a word of peace."""
    command = [sys.executable, "-m", __name__, str(os.getpid())]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def clear(ended: int = 0) -> None:
    """Take away what is left of runs whose process is gone, and of that of a number, which may still wait to be buried."""

    def gone(owner: int) -> bool:
        return owner == ended or not Path(f"/proc/{owner}").exists()

    folders = [path for path in SPACE.glob(f"{PREFIX}-*") if (owner := path.name.split("-")[2]).isdigit() and gone(int(owner))]
    for process in Path("/proc").glob("[0-9]*"):  # a play goes on without who began it
        with suppress(OSError):
            if any(os.fsencode(folder) in (process / "cmdline").read_bytes() for folder in folders):
                kill_all(int(process.name))
    clear_namespaces(gone)
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "FOLDER": place, "ENDED": str(ended)}
        subprocess.run(["unshare", "--mount", "sh", MACHINE, "sweep"], env=environment, check=True)
    for folder in folders:
        remove(folder)


def remove(folder: Path) -> None:
    """Take away a run's folder."""
    if os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", folder], check=False)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.stdin.buffer.read() != PEACE:
        clear(int(sys.argv[1]))
