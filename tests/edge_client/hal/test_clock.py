from __future__ import annotations

import ctypes
import time
from pathlib import Path

import pytest

from bramble_client.hal import clock as clocks
from bramble_client.hal.clock import HostClock, SystemClock, VirtualClock, clock_synchronised


def test_a_virtual_clock_waits_by_moving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"it sleeps for {seconds} s"))
    clock = VirtualClock(100.0)
    clock.sleep(3600)
    clock.advance(5)
    clock.sleep(-3)
    assert clock.monotonic() == clock.time() == clock.utc() == 3705


def test_the_system_clock_is_the_machines() -> None:
    clock = SystemClock()
    before = time.monotonic()
    clock.sleep(0.001)
    assert before + 0.001 <= clock.monotonic() <= time.monotonic()


@pytest.mark.parametrize("kind", [SystemClock, HostClock, VirtualClock])
def test_a_driver_of_release_0_1_calls_it_now(kind: type[SystemClock] | type[VirtualClock]) -> None:
    clock = kind()
    assert clock.monotonic() <= clock.now() <= clock.monotonic()


def test_utc_is_none_until_something_keeps_the_clock_and_then_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True])
    monkeypatch.setattr(clocks, "clock_synchronised", lambda: next(answers))
    clock = SystemClock()
    assert clock.utc() is None
    assert clock.utc() is None
    for _ in range(3):
        before = time.time()
        assert before <= (clock.utc() or 0.0) <= time.time()


def test_a_hosts_wall_clock_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "clock_synchronised", lambda: False)
    before = time.time()
    assert before <= HostClock().utc() <= time.time()


class Library:
    """A C library whose adjtimex answers what a test wants."""

    def __init__(self, state: int | None) -> None:
        if state is not None:
            self.adjtimex = lambda buffer: state


@pytest.mark.parametrize(
    ("state", "mark", "synchronised"),
    [
        (0, False, True),  # TIME_OK
        (5, False, False),  # TIME_ERROR: not synchronised
        (5, True, False),  # timesyncd had set it once; the kernel knows better
        (-1, False, None),  # denied: not known, never "synchronised"
        (-1, True, True),  # denied, but timesyncd says that it has set it
        (None, False, True),  # not Linux
    ],
)
def test_the_kernel_is_asked_and_what_it_does_not_tell_is_not_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: int | None, mark: bool, synchronised: bool | None
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **options: Library(state))
    monkeypatch.setattr(clocks, "TIMESYNCD", tmp_path / "synchronized")
    if mark:
        (tmp_path / "synchronized").touch()
    assert clock_synchronised() is synchronised


def test_where_nothing_is_known_nothing_is_dated_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clocks, "clock_synchronised", lambda: None)
    clocks._say_unknown.cache_clear()
    for clock in (SystemClock(), SystemClock()):
        assert [clock.utc(), clock.utc()] == [None, None]
    (line,) = caplog.messages
    assert "adjtimex" in line
    assert "SystemCallFilter" in line


def test_asking_the_real_kernel_changes_nothing_and_answers() -> None:
    offset = time.time() - time.monotonic()
    assert clock_synchronised() in (True, False)
    assert time.time() - time.monotonic() == pytest.approx(offset, abs=60)
