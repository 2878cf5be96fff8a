"""Commands as a person types them: at a terminal, with an answer to what is asked there."""

from __future__ import annotations

import os
import pty
import re
import select
import termios
import time
from contextlib import suppress
from pathlib import Path

from tests.fleet.kill import kill_all

LOCAL = 3
"""Where ``tcgetattr`` has a terminal's local modes."""


def typed(command: str, folder: Path, environment: dict[str, str], answers: dict[str, str], within: float) -> tuple[int, str]:
    """Run a shell command at a terminal of its own; return its exit code and all that was shown.

    Parameters
    ----------
    answers
        What is typed, by an expression for the question.
    within
        Seconds after which it is ended.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("sh", ["sh", "-c", command], environment)
    shown, answered, typing, until = b"", 0, b"", time.monotonic() + within
    try:
        with suppress(OSError):  # EIO: the other end is closed, which is the end
            while time.monotonic() < until:
                if not select.select([terminal], [], [], 0.5)[0]:
                    if typing and not termios.tcgetattr(terminal)[LOCAL] & termios.ICANON:
                        os.write(terminal, typing)  # Ansible asks, throws away what was typed until then, and only then listens
                    continue
                if not (data := os.read(terminal, 1 << 16)):
                    break
                shown += data
                for question, answer in answers.items():
                    if re.search(question.encode(), shown[answered:]):
                        answered, typing = len(shown), answer.encode() + b"\n"
                        os.write(terminal, typing)
        if time.monotonic() >= until:
            kill_all(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace").replace("\r\n", "\n")
    except BaseException:  # whoever is ended takes along what was typed
        kill_all(pid)
        raise
    finally:
        os.close(terminal)
