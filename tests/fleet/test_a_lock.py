"""The lock's keeper beside a play: it sees the play end, however that ends, and ends one that hangs after Ctrl-C. No host is needed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.controller import ROOT
from tests.fleet.kill import kill_all
from tests.fleet.wait import until
from tests.plugins import load

lock = load("bramble_lock", "action/bramble_lock.py")

PLAY = """
import os, signal, sys, time
from pathlib import Path
from tests.plugins import load

lock = load("bramble_lock", "action/bramble_lock.py")
lock.PATIENCE_S, lock.RENEW_S, told = 1, 0.5, Path(sys.argv[1])

class Module(lock.ActionModule):
    def __init__(self): pass
    def _ask(self, script, **values):
        with told.open("a") as file:
            print("given back" if script is lock.GIVE_BACK else "renewed", file=file)
        return {"rc": 0}

def hang(signum, frame):  # as Ansible hears Ctrl-C, and then waits for what does not come
    signal.signal(signum, signal.SIG_DFL)
    told.open("a").write("heard\\n")
    while True: time.sleep(1)

signal.signal(signal.SIGINT, hang)
Module()._keep(os.getpid(), "a test")
while True: time.sleep(1)
"""


@pytest.fixture
def play(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A play that goes on for ever, and where the lock's keeper tells what it does."""
    told = tmp_path / "told"
    with subprocess.Popen([sys.executable, "-c", PLAY, told], cwd=ROOT) as process:
        until(lambda: "renewed" in told.read_text(), "the lock to be kept")
        yield process, told
        kill_all(process.pid)


def test_a_play_that_hangs_after_ctrl_c_is_ended_and_the_lock_given_back(play: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, told = play
    assert not lock.interrupted(process.pid)
    process.send_signal(signal.SIGINT)
    until(lambda: "heard" in told.read_text(), "it to hear")
    assert lock.interrupted(process.pid)
    assert process.wait(60) == -signal.SIGKILL
    until(lambda: told.read_text().endswith("given back\n"), "the lock")


def test_one_that_nobody_stopped_keeps_it_until_it_is_killed(play: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, told = play
    until(lambda: told.read_text().count("renewed") > 4, "more than its patience to pass")
    assert process.poll() is None
    assert "given back" not in told.read_text()
    process.kill()
    process.wait()
    until(lambda: told.read_text().endswith("given back\n"), "the lock")
