"""The watchdog is fed by a writer that answers, and by nothing else."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from bramble_protocol import BrambleError
from bramble_server.transport.gevent import watchdog
from tests.server.office import Threads
from tests.server.process import ServerProcess
from tests.waiting import wait_for


@pytest.fixture
def systemd(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    return systemd


def test_readiness_comes_first_and_then_every_answer_feeds_the_watchdog(systemd: socket.socket) -> None:
    answers = 0
    enough = threading.Event()

    def answer() -> None:
        nonlocal answers
        answers += 1
        if answers > 3:
            enough.set()
            raise BrambleError("the server is stopping")

    watchdog.start(Threads(), answer)
    assert [systemd.recv(100) for _ in range(4)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]
    assert enough.wait(30)


def test_a_writer_that_hangs_starves_the_watchdog(systemd: socket.socket) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def answer() -> None:
        if let_go.is_set():
            raise BrambleError("the server is stopping")
        asked.set()
        let_go.wait()

    watchdog.start(Threads(), answer)
    assert systemd.recv(100) == b"READY=1"
    assert asked.wait(30)
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    let_go.set()
    systemd.settimeout(30)
    assert systemd.recv(100) == b"WATCHDOG=1"


def test_without_a_watchdog_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    watchdog.start(Threads(), lambda: pytest.fail("asked"))


def test_a_real_server_says_that_it_is_ready_lives_and_stops(systemd: socket.socket, tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as process:
        assert systemd.recv(100) == b"READY=1"
        assert systemd.recv(100) == b"WATCHDOG=1"
        assert process.stop() == 0
        wait_for(lambda: systemd.recv(100) == b"STOPPING=1", "the server to say that it stops")
