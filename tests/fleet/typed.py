"""Commands as a person types them: at a terminal, with a password where one is asked for."""

from __future__ import annotations

import os
import pty
import re
import time
from contextlib import suppress
from pathlib import Path

from tests.fleet.kill import kill_all


def typed(command: str, folder: Path, environment: dict[str, str], password: str, within: float) -> tuple[int, str]:
    """Run a shell command at a terminal of its own; return its exit code and all that was shown.

    Parameters
    ----------
    password
        Typed whenever the last line asks for one.
    within
        Seconds after which it is ended.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("sh", ["sh", "-c", command], environment)
    shown, answered, until = b"", 0, time.monotonic() + within
    try:
        with suppress(OSError):  # EIO: the other end is closed, which is the end
            while time.monotonic() < until and (data := os.read(terminal, 1 << 16)):
                shown += data
                if re.search(rb"[Pp]assword[^\n]*: ?$", shown[answered:]):
                    answered = len(shown)
                    os.write(terminal, password.encode() + b"\n")
        if time.monotonic() >= until:
            kill_all(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace").replace("\r\n", "\n")
    except BaseException:  # whoever is ended takes along what was typed
        kill_all(pid)
        raise
    finally:
        os.close(terminal)
