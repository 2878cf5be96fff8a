"""End a process with all that it began: Ansible's workers are sessions of their own, which a signal to its group does not reach."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_all(pid: int) -> None:
    """Kill a process and whatever descends from it, as far as its parents still live."""
    family = [pid]
    for one in family:
        with suppress(OSError):
            family += [int(child) for task in Path(f"/proc/{one}/task").iterdir() for child in (task / "children").read_text().split()]
    for one in family:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
