"""A client goes by one clock: whoever hands it one decides what time it is for all of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bramble_client.acquire.recorder import Recorder
from bramble_client.agent import Agent
from bramble_client.hal import open_board
from bramble_client.hal.clock import VirtualClock
from bramble_client.learn.frames import Frames
from bramble_client.machine.report import Reporter
from bramble_client.settings import ClientSettings

NOON = 1_700_000_000.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOON)


def parts(whole: Any, seen: set[int]) -> Iterator[Any]:
    """Yield what an object consists of, down to the last part of the client's own; sensors have their board's clock."""
    found = whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list | tuple) else (getattr(whole, "__self__", None),)
    if type(whole).__module__.startswith("bramble_client.") and not type(whole).__module__.startswith("bramble_client.hal."):
        yield whole
        found = getattr(whole, "__dict__", {}).values()
    for part in found:
        if id(part) not in seen:
            seen.add(id(part))
            yield from parts(part, seen)


@pytest.mark.parametrize("mode", ["evaluation", "private"])
def test_every_part_has_the_clients(tmp_path: Path, clock: VirtualClock, mode: str) -> None:
    settings = ClientSettings(id="pi-1", server="http://127.0.0.1:9", sensors="mock", mode=mode, sample_every=60.0)
    board = open_board("mock", seed="pi-1", live=settings.self_paced)
    agent = Agent(settings, board, tmp_path, None, None, clock)
    try:
        told = [(type(part).__name__, part._clock) for part in parts(agent, {id(agent)}) if hasattr(part, "_clock")]
    finally:
        agent.close()
        board.close()
    always = [
        "Agent",
        "Database",
        "Database",
        "Evaluating",
        "GraphDownload",
        "Link",
        "Participation",
        "Receipt",
        "Recorder",
        "Reporter",
        "Runner",
        "Trainer",
        "TrainingQueue",
    ]
    assert sorted(name for name, _ in told) == sorted([*always, *(["SelfPaced"] if settings.self_paced else [])])
    assert [name for name, its in told if its is not clock] == []


def test_readings_are_committed_when_their_time_has_come(tmp_path: Path, clock: VirtualClock) -> None:
    recorder, other = (Recorder(tmp_path / "readings.db", 100, 10.0, clock) for _ in range(2))
    for t, there in ((0.0, 1), (9.0, 1), (10.0, 3)):
        clock.sleep(NOON + t - clock.monotonic())
        recorder.append(clock.time(), {"temperature": t})
        assert (other.span() or (0,))[0] == there, "the first at once, then those of ten seconds together"
    recorder.close(), other.close()


def test_a_report_is_dated_and_a_sample_as_old_as_the_clock_says(tmp_path: Path, clock: VirtualClock) -> None:
    class Sampling:
        every, missed, sampled = 60.0, 0, clock.monotonic()

    reporter = Reporter(None, tmp_path, Sampling(), lambda: (), clock=clock)  # type: ignore[arg-type]
    clock.sleep(90.0)
    report = reporter.read()
    assert (report.sent, report.sample_age) == (NOON + 90, 90)


def test_a_run_that_has_had_its_time_is_not_waited_for(clock: VirtualClock) -> None:
    frames = Frames(None, clock)  # type: ignore[arg-type]
    frames.until = clock.monotonic() + 60
    clock.sleep(60)
    with pytest.raises(TimeoutError):
        frames.send({"signature": "fit"})
