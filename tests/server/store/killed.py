"""A process that is killed, as by a power cut, before any one statement that it wants to run on a database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import create_engine, text

from tests.waiting import wait_for

ROOT = Path(__file__).parents[3]
# For each number that it reads, a child of its own works, and kills itself before that statement.
FORKING = """
import contextlib, os, signal, sys, types

sys.modules["tests"] = types.ModuleType("tests")  # among what is installed there may be another of that name
sys.modules["tests"].__path__ = ["tests"]
from tests.server.statements import before_each

def work(die):
    raise NotImplementedError

WORK

def arm(left):
    def one():
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    armed.enter_context(before_each(one))

armed = contextlib.ExitStack()

for line in sys.stdin:
    child = os.fork()
    if not child:
        code = 1
        try:
            work(lambda: arm(int(line)))
            code = 0
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killed(Protocol):
    """Has the work done and killed before a statement; returns whether it lived to be killed, False once it was done before."""

    def __call__(self, statement: int) -> bool: ...


@contextmanager
def working(work: str, target: Path | str, *arguments: str) -> Iterator[Killed]:
    """Have a process ready that does some work again and again, each time in a child.

    Parameters
    ----------
    work
        Source of ``work(die)``, which says by calling ``die`` from where on statements count. ``sys.argv[1:]`` are target and arguments.
    target
        The database.
    """
    command = [sys.executable, "-c", FORKING.replace("WORK", work), str(target), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def killed(statement: int) -> bool:
            print(statement, file=stdin)
            code = int(stdout.readline())
            assert code in (0, -9), f"the work failed before statement {statement}"
            wait_for(lambda: left_alone(target), "its connections to be gone")
            return code != 0

        yield killed
        stdin.close()


def apart(target: Path | str) -> int:
    """Every how many-th statement a process is killed before: on PostgreSQL a try takes a second, so it is every third."""
    return 1 if isinstance(target, Path) else 3


def left_alone(target: Path | str) -> bool:
    """Whether nobody has the database open: PostgreSQL needs a moment to see that a process is dead."""
    if isinstance(target, Path):
        return True
    engine = create_engine(target)
    with engine.connect() as connection:
        others = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
        count = connection.scalar(others)
    engine.dispose()
    return bool(count == 0)
