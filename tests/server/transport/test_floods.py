"""Floods of a peer without a token, each from a process of its own: good clients stay, rounds commit, the server answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.flooding import KINDS
from tests.server.pi import Closed, Pi
from tests.server.process import ROOT, ServerProcess
from tests.waiting import wait_for

pytestmark = pytest.mark.load
ROUNDS = 40
"""Rounds to see: a second or more of flooding."""
GOOD = ("good-1", "good-2", "good-3")
SHELL = (
    "exec 3<>/dev/tcp/127.0.0.1/{port}; echo flooding; cat <&3 >/dev/null & yes $'GET /healthz HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r' >&3"
)
"""The same from a shell, as a person would type it."""


@contextmanager
def training(server: ServerProcess, name: str) -> Iterator[threading.Thread]:
    """A client that answers whatever it is asked; its thread ends when its connection does."""
    pi = Pi(server.url, name)

    def answer() -> None:
        try:
            while True:
                pi.train()
        except Closed:
            pass

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield thread
    finally:
        pi.close()
        thread.join(30)


@contextmanager
def flood(kind: str, port: int) -> Iterator[None]:
    command = ["bash", "-c", SHELL.format(port=port)] if kind == "shell" else [sys.executable, "-m", "bench.flooding", kind, str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == b"flooding\n"
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its own group: the shell's children too
        process.wait()
        process.stdin.close(), process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Rounds one after the other, with clients who must be asked whether they are there, as in the field."""
    flags = ("--rounds", "1000000", "--min-clients", "3", "--min-updates", "3", "--ping-interval", "10s", "--ping-timeout", "10s")
    with ServerProcess(tmp_path_factory.mktemp("server"), *flags, "--deadline", "5s") as process:
        yield process


@pytest.fixture(scope="module")
def good(server: ServerProcess) -> Iterator[list[threading.Thread]]:
    with training(server, GOOD[0]) as one, training(server, GOOD[1]) as two, training(server, GOOD[2]) as three:
        wait_for(lambda: server.api.status()["round"] > 0, "a first round")
        yield [one, two, three]


@pytest.mark.parametrize("kind", ["shell", *KINDS])
def test_a_flood_costs_nobody_else_a_round(kind: str, server: ServerProcess, good: list[threading.Thread]) -> None:
    since = {name: client["since"] for name, client in server.api.clients().items()}
    size = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    with flood(kind, server.port):
        first = server.api.status()["round"]
        for number in range(first + 1, first + ROUNDS + 1):
            assert server.api.healthy()
            wait_for(lambda number=number: server.api.status()["round"] >= number, "a round")
    clients = server.api.clients()
    assert {name: clients[name]["since"] for name in GOOD} == {name: since[name] for name in GOOD}, "nobody had to come back"
    assert all(thread.is_alive() for thread in good)
    grown = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) - int(size)
    assert grown * 4096 < 100 << 20, "what is not read waits in the sender's memory"
    assert "Traceback" not in server.log()
    assert "\x1b" not in server.log()
    others = [line for line in server.log().splitlines() if " bramble_server.rounds.track: round " not in line]
    assert len(others) < 1000, "what a flood says grows with its kinds, not with its size"
