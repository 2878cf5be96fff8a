"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import os
import socket

import pytest

from bramble_protocol.notify import notify, watchdog_interval


def test_states_arrive_as_one_datagram_of_lines(systemd: socket.socket) -> None:
    assert notify(READY=1, STATUS="listening on 0.0.0.0:5000")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=listening on 0.0.0.0:5000"


def test_a_line_break_in_a_value_cannot_forge_another_state(systemd: socket.socket) -> None:
    assert notify(STATUS="bad\nREADY=1")
    assert systemd.recv(4096) == b"STATUS=bad READY=1"


def test_an_abstract_socket_is_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"bramble-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert notify(WATCHDOG=1)
        assert listener.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/nowhere/at/all"])
def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify(READY=1)


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify(READY=1)


def test_the_watchdog_is_fed_three_times_in_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_interval() == 10.0


def test_a_watchdog_without_a_process_id_watches_whoever_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_interval() == 1.0


@pytest.mark.parametrize(("limit", "pid"), [("30000000", "1"), ("0", None), ("soon", None), (None, None)])
def test_another_process_or_no_watchdog_at_all_needs_no_feeding(
    monkeypatch: pytest.MonkeyPatch, limit: str | None, pid: str | None
) -> None:
    for name, value in (("WATCHDOG_USEC", limit), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert watchdog_interval() is None
