"""What systemd hears of a client: ready, alive while all its parts get on, stopping."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bramble_client.agent import Agent
from bramble_client.commands import run
from tests.edge_client.process import ClientProcess
from tests.waiting import wait_for


@pytest.fixture
def systemd(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    return systemd


def test_a_real_client_is_ready_and_lives_without_a_server(systemd: socket.socket, tmp_path: Path) -> None:
    """A Pi whose server is down measures on, so it is ready."""
    with ClientProcess("http://127.0.0.1:1", tmp_path) as client:
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        client.process.terminate()
        wait_for(lambda: systemd.recv(100) == b"STOPPING=1", "it to say that it stops")
        assert client.process.wait(30) == 0


class Fake:
    """An agent that hangs when told to."""

    def __init__(self) -> None:
        self.hanging: str | None = None
        self.asked = threading.Semaphore(0)

    def hangs(self) -> str | None:
        self.asked.release()
        return self.hanging


def test_a_part_that_hangs_starves_the_watchdog_and_is_named_once(systemd: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    fake, over = Fake(), threading.Event()
    fake.hanging = "sampling of sensor roof"
    watch: Any = run._watch
    thread = threading.Thread(target=watch, args=(fake, over))
    thread.start()
    for _ in range(3):
        assert fake.asked.acquire(timeout=60)
    over.set()
    thread.join(60)
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    assert caplog.messages == ["the sampling of sensor roof hangs; systemd will restart this client"]


def parts(stuck: str | None = None, /, **dead: bool) -> Any:
    """Return what ``Agent.hangs`` looks at, with threads that live or not, and perhaps a sensor that is stuck."""
    names = ("training", "cycles", "courier", "link", "reporter")
    workers = [SimpleNamespace(name=name, alive=not dead.get(name)) for name in names]
    return SimpleNamespace(_workers=workers, _paced=SimpleNamespace(stuck=lambda patience: stuck))


def test_a_client_whose_parts_all_live_is_alive() -> None:
    assert Agent.hangs(parts()) is None


@pytest.mark.parametrize("name", ["training", "cycles", "courier", "link", "reporter"])
def test_a_part_whose_thread_has_ended_is_named(name: str) -> None:
    assert Agent.hangs(parts(**{name: True})) == name


def test_a_sensor_that_is_not_sampled_any_more_is_named() -> None:
    assert Agent.hangs(parts("roof")) == "sampling of sensor roof"
