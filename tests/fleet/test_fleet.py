"""A fleet leaves nothing on this machine, however its run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet.controller import ROOT
from tests.fleet.kill import kill_all
from tests.fleet.leftovers import PREFIX, SPACE
from tests.fleet.network import ip
from tests.fleet.wait import until

BOOT = "import signal; from tests.fleet.fleet import Fleet\nwith Fleet(['hub']):\n    print('booted', flush=True)\n    signal.pause()"
HANGING = """
import os, pathlib, signal
from tests.fleet.fleet import Fleet

def test_that_hangs():
    with Fleet(["hub"]):
        note = pathlib.Path(__file__).with_name("booting")
        note.write_text(str(os.getpid()))
        note.rename(note.with_name("booted"))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            signal.pause()
"""
"""To shut four hosts down in the middle of a play takes longer than test runners wait for one another."""
GROUPS = 'mount -t cgroup2 cgroup "$1" && find "$1" -maxdepth 1 -name "bramble-*"'


@contextmanager
def booted() -> Iterator[subprocess.Popen[str]]:
    command = ["env", "--default-signal=INT", sys.executable, "-c", BOOT]  # what a shell begins in the background does not hear Ctrl-C
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "booted\n", process.communicate()[1]
            yield process
        finally:
            kill_all(process.pid)


def left_by(pid: int, place: Path) -> list[str]:
    """Return the names of folders, mounts, namespaces and control groups of a process's fleet, and the processes in them."""
    groups = subprocess.run(["unshare", "--mount", "sh", "-c", GROUPS, "sh", place], capture_output=True, text=True, check=True).stdout
    arguments = [path.read_bytes().decode(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    found = [*map(str, SPACE.glob(f"{PREFIX}-{pid}-*")), *ip("netns", "list").splitlines(), *groups.splitlines(), *arguments]
    found += Path("/proc/mounts").read_text().splitlines()
    return [name for name in found if f"bramble-{pid}" in name or f"{PREFIX}-{pid}-" in name]


def test_nothing_is_left_of_a_fleet_that_somebody_impatient_stops(tmp_path: Path) -> None:
    with booted() as stopped:
        assert left_by(stopped.pid, tmp_path)
        stopped.send_signal(signal.SIGINT)
        until(
            lambda: stopped.poll() is not None or not Path(f"/proc/{stopped.pid}/task/{stopped.pid}/children").read_text(), "its hosts' end"
        )
        stopped.send_signal(signal.SIGINT)
        stopped.wait(60)
    assert left_by(stopped.pid, tmp_path) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_nothing_is_left_of_a_run_in_several_processes_that_is_ended(tmp_path: Path, end: signal.Signals) -> None:
    """As ``make test-fleet`` is one: none of them waits until the other has switched its hosts off."""
    (tmp_path / "test_that_hangs.py").write_text(HANGING)
    command = ["env", "--default-signal=INT", sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-c", os.devnull]
    command += ["--numprocesses", "1", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True) as run:
        try:
            owner = int(until((tmp_path / "booted").read_text, "its host to boot", 120))
            assert left_by(owner, tmp_path)
            if end is signal.SIGINT:  # a terminal sends it to all of them
                os.killpg(run.pid, end)
            else:
                run.send_signal(end)
            run.wait(60)
            until(lambda: not left_by(owner, tmp_path), "everything to be gone", 60)
        finally:
            kill_all(run.pid)


def test_what_was_begun_ends_with_its_workers_that_are_sessions_of_their_own(tmp_path: Path) -> None:
    with subprocess.Popen(["sh", "-c", f"setsid sh -c 'echo $$ > {tmp_path}/worker; sleep 1000; true' & wait"]) as process:
        until((tmp_path / "worker").exists, "the worker")
        worker = Path("/proc", until((tmp_path / "worker").read_text, "its number").strip())
        kill_all(process.pid)
    until(lambda: not worker.exists() or " Z " in (worker / "stat").read_text(), "the worker's end")
