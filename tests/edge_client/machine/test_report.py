"""What a client reports of itself, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bramble_client.deliver.link import LinkDown
from bramble_client.machine import health, report
from bramble_client.machine.budgets import Rest
from bramble_client.machine.report import Reporter
from bramble_protocol.health import EVENT, INTERVAL, SPARING, Health
from tests.waiting import wait_for


class Wire:
    """A link that keeps what is sent over it."""

    def __init__(self, answer: Any = None) -> None:
        self.up = True
        self.protocol = 2
        self.answer: Any = {"accepted": True} if answer is None else answer
        self.sent: list[tuple[str, Any]] = []

    def call(self, event: str, payload: Any, timeout: float) -> Any:
        self.sent.append((event, payload))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Pace:
    """Sampling as a report sees it."""

    every: float = 60.0
    missed: int = 0
    sampled: float | None = None


def reporter(wire: Wire, folder: Path, sampling: Pace | None = None, gone: Sequence[str] = ()) -> Reporter:
    return Reporter(wire, folder, sampling, lambda: gone)  # type: ignore[arg-type]


def test_a_report_holds_the_machine_and_the_age_of_the_newest_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"health_cpu_temperature": 51.2, "health_throttled": 327680.0, "health_memory_available": 211.0, "health_disk_free": 9000.0}
    monkeypatch.setattr(health, "read", lambda folder: said)
    before, sampled = time.time(), time.monotonic() - 5
    found = reporter(Wire(), tmp_path, Pace(missed=4, sampled=sampled), ["roof"]).read()
    assert (found.soc_temperature, found.throttled, found.memory_free, found.disk_free) == (51.2, 0x50000, 211.0, 9000.0)
    assert found.sample_age
    assert 5 <= found.sample_age <= time.monotonic() - sampled
    assert (found.sample_every, found.samples_missed, found.sensors_gone) == (60.0, 4, ("roof",))
    assert before <= found.sent <= time.time()


def test_a_disk_that_takes_nothing_is_reported(tmp_path: Path) -> None:
    assert Reporter(Wire(), tmp_path, None, lambda: (), lambda: "read-only").read().disk == "read-only"  # type: ignore[arg-type]
    doubtful = Reporter(Wire(), tmp_path, None, lambda: (), doubted=lambda: ("attic",)).read()  # type: ignore[arg-type]
    assert doubtful.sensors_doubted == ("attic",)
    assert Reporter(Wire(), tmp_path, None, lambda: (), lambda: None).read().disk == "ok"  # type: ignore[arg-type]


def test_a_laptop_reports_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "read", lambda folder: {})
    found = reporter(Wire(), tmp_path).read()
    assert found == Health(sent=found.sent, disk="ok", slow=False)
    assert Health.from_wire(found.to_wire()) == found


def test_a_link_that_comes_up_is_reported_over_at_once_and_then_at_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "INTERVAL", 0.05)
    wire = Wire()
    wire.up = False
    part = reporter(wire, tmp_path)
    part.start()
    try:
        assert wire.sent == []
        wire.up = True
        part.wake()
        wait_for(lambda: len(wire.sent) >= 3, "three reports")
    finally:
        part.stop(10)
    assert {event for event, _ in wire.sent} == {EVENT}
    assert all(Health.from_wire(payload) for _, payload in wire.sent)


def test_the_first_sample_is_reported_soon_after_it_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SOON_S", 0.02)
    wire, pace = Wire(), Pace()
    part = reporter(wire, tmp_path, pace)
    part.start()
    part.wake()
    try:
        wait_for(lambda: len(wire.sent) >= 3, "reports that there is no sample yet")
        pace.sampled = time.monotonic()
        wait_for(lambda: wire.sent[-1][1]["sample_age"] is not None, "the first sample to be told of")
    finally:
        part.stop(10)
    told = [payload["sample_age"] is not None for _, payload in wire.sent]
    assert told == sorted(told)
    assert told.count(True) == 1, "and then at the interval again"


@pytest.mark.parametrize("answer", [LinkDown("gone"), {"accepted": False, "reason": "health: odd"}, "?", 7])
def test_a_report_that_fails_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    monkeypatch.setattr(report, "INTERVAL", 0.01)
    wire = Wire(answer)
    part = reporter(wire, tmp_path)
    part.start()
    try:
        wait_for(lambda: len(wire.sent) >= 3, "it to go on")
    finally:
        part.stop(10)
    refusals = [line for line in caplog.messages if "does not take this client's health report" in line]
    assert len(refusals) == (0 if isinstance(answer, LinkDown) else 1), "said once, not every time"


class Waits(threading.Event):
    """Notes how long is waited for it, and does not wait."""

    def __init__(self, enough: int, stop: Callable[[], object]) -> None:
        super().__init__()
        self._enough, self._stop = enough, stop
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        if len(self.seconds) == self._enough:
            self._stop()
        return True


@pytest.mark.parametrize(("why", "pause"), [("bytes", SPARING), ("hours", INTERVAL), (None, INTERVAL)])
def test_reports_are_rare_while_the_bytes_of_the_month_are_used_up(tmp_path: Path, why: str | None, pause: float) -> None:
    wire = Wire()
    rest = None if why is None else Rest(why, time.time() + 1e6)
    made = Reporter(wire, tmp_path, Pace(sampled=time.monotonic()), lambda: (), rest=lambda: rest)  # type: ignore[arg-type]
    waits = made._due = Waits(3, made._stopping.set)
    made.run()
    assert waits.seconds == [INTERVAL, pause, pause]
    assert len(wire.sent) == 2
