from __future__ import annotations

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.readings import Quality, Reading
from bramble_client.hal.sampler import Dated, Deadlines, Sampler, Sink


class Source:
    """Takes some time to read, and says when it was asked."""

    def __init__(self, clock: VirtualClock, name: str = "roof", takes: float = 0.0) -> None:
        self.clock, self.name, self.takes = clock, name, takes
        self.asked: list[float] = []

    def read(self) -> list[Reading]:
        self.asked.append(self.clock.monotonic())
        self.clock.sleep(self.takes)
        return [reading(self.asked[-1], sensor=self.name)]


def reading(t: float, value: float | None = 1.0, sensor: str = "roof", channel: str = "temperature", **options: object) -> Reading:
    quality = Quality.GOOD if value is not None else Quality.MISSING
    values = {"utc": t, "sequence": 1, "quality": quality, "simulated": False, **options}
    return Reading(sensor, channel, value, "°C", t, **values)  # type: ignore[arg-type]


def nowhere(readings: list[Reading]) -> None:
    """Take readings and drop them."""


def run(source: Source, interval: float, until: float, clock: VirtualClock, late: float = 0.0, sink: Sink = nowhere) -> Sampler:
    """Sample on a virtual clock; every wait ends a little late, as real ones do."""

    def wait(seconds: float) -> bool:
        clock.sleep(seconds + late)
        return clock.monotonic() > until

    sampler = Sampler([(source, interval)], sink, clock, wait)
    sampler.parts[0].run()
    return sampler


def test_samples_keep_their_distance_without_drift(clock: VirtualClock) -> None:
    source = Source(clock, takes=0.3)
    sampler = run(source, 1.0, 1000.0, clock, late=0.01)
    assert len(source.asked) == pytest.approx(1000, abs=1)
    assert all(abs(at - (i + 0.01)) < 1e-6 for i, at in enumerate(source.asked)), "a late sample does not delay the next"
    assert sampler.stats["roof"].missed == 0
    assert sampler.stats["roof"].latest == pytest.approx(0.01)


def test_missed_deadlines_are_counted_and_not_made_up(clock: VirtualClock) -> None:
    source = Source(clock, takes=2.5)
    sampler = run(source, 1.0, 100.0, clock)
    stats = sampler.stats["roof"]
    assert stats.taken + stats.missed == pytest.approx(100, abs=3)
    assert stats.missed == pytest.approx(1.5 * stats.taken, abs=3), "each takes two deadlines and a half"
    assert all(at == pytest.approx(round(at), abs=0.51) for at in source.asked)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e4), st.lists(st.floats(0, 10), max_size=40))
def test_every_deadline_is_taken_or_counted(start: float, interval: float, delays: list[float]) -> None:
    deadlines, missed, now = Deadlines(start, interval), 0, start
    for delay in delays:
        now = max(now, deadlines.due) + delay * interval
        missed += deadlines.take(now)
        assert deadlines.due > now - 1e-6 * interval - abs(start) * 1e-9
    passed = round((deadlines.due - start) / interval)
    assert missed + len(delays) == passed


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Deadlines(0, 0)


def test_several_sensors_run_at_their_own_pace_in_real_threads(clock: VirtualClock) -> None:
    taken: list[str] = []
    enough = threading.Event()

    def sink(readings: list[Reading]) -> None:
        taken.extend(item.sensor for item in readings)
        if taken.count("fast") >= 20 and taken.count("slow") >= 2:
            enough.set()

    sources = [Source(VirtualClock(), "fast"), Source(VirtualClock(), "slow")]
    sampler = Sampler([(sources[0], 0.001), (sources[1], 0.01)], sink)
    sampler.start()
    assert enough.wait(30)
    sampler.stop()
    assert not any(part.alive for part in sampler.parts)
    assert sampler.stats["fast"].taken > sampler.stats["slow"].taken


def test_a_sink_that_fails_does_not_end_the_sampling(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    source = Source(clock)

    def sink(readings: list[Reading]) -> None:
        raise OSError("disk full")

    def wait(seconds: float) -> bool:
        clock.sleep(seconds)
        return clock.monotonic() > 5

    with caplog.at_level(logging.ERROR):
        Sampler([(source, 1.0)], sink, clock, wait).parts[0].run()
    assert len(source.asked) == 6
    assert caplog.text.count("sampling sensor roof failed; trying again at its pace") == 1, "said once"
    assert "disk full" in caplog.text


def test_a_source_that_raises_is_said_once_and_once_when_it_works_again(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Source):
        def read(self) -> list[Reading]:
            readings = super().read()
            if len(self.asked) <= 3:
                raise ZeroDivisionError("a driver's mistake")
            return readings

    source, taken = Faulty(clock), list[Reading]()
    run(source, 1.0, 6.0, clock, sink=taken.extend)
    assert [item.monotonic for item in taken] == [3.0, 4.0, 5.0, 6.0]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "sampling sensor roof failed; trying again at its pace"),
        ("WARNING", "sampling sensor roof works again"),
    ]


class Hanging:
    """A source that does not come back until it is let."""

    name = "roof"

    def __init__(self) -> None:
        self.let, self.asked = threading.Event(), threading.Event()

    def read(self) -> list[Reading]:
        self.asked.set()
        self.let.wait(60)
        return []


def test_a_source_that_does_not_come_back_is_stuck_after_three_intervals_and_some_patience(clock: VirtualClock) -> None:
    source = Hanging()
    clock.advance(1000.0)
    sampler = Sampler([(source, 10.0)], lambda readings: None, clock)
    sampler.start()
    assert source.asked.wait(30)
    clock.advance(89.0)
    assert sampler.stuck(60.0) is None
    clock.advance(2.0)
    assert sampler.stuck(60.0) == "roof"
    source.let.set()
    sampler.stop(30)


def test_a_source_whose_thread_has_ended_is_stuck(clock: VirtualClock) -> None:
    sampler = Sampler([(Source(clock), 10.0)], lambda readings: None, clock)
    sampler.start()
    assert sampler.stuck(60.0) is None
    sampler.stop(30)
    assert sampler.stuck(60.0) == "roof"


def test_stop_waits_for_all_sources_together_no_longer_than_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [Hanging() for _ in range(20)]
    for index, source in enumerate(sources):
        source.name = f"roof{index}"
    clock = VirtualClock()
    sampler = Sampler([(source, 10.0) for source in sources], lambda readings: None, clock)
    sampler.start()
    waits: list[float] = []
    for part in sampler.parts:
        monkeypatch.setattr(part._thread, "join", lambda timeout: (waits.append(timeout), clock.sleep(1.0 if timeout else 0.0)))
    sampler.stop(5.0)
    assert waits == [0.0] * 20 + [5.0, 4.0, 3.0, 2.0, 1.0, *[0.0] * 15]
    for source in sources:
        source.let.set()


def test_the_shortest_interval_is_known(clock: VirtualClock) -> None:
    assert Sampler([(Source(clock, "a"), 60.0), (Source(clock, "b"), 5.0)], lambda readings: None, clock).shortest == 5.0


class Log:
    def __init__(self) -> None:
        self.rows: list[tuple[float, dict[str, float | None]]] = []

    def __call__(self, t: float, values: dict[str, float | None]) -> None:
        self.rows.append((t, values))


def test_readings_of_one_time_are_one_row_and_bad_ones_have_no_value(clock: VirtualClock) -> None:
    log = Log()
    bad = reading(5.0, 900.0, channel="humidity", quality=Quality.RANGE)
    Dated(log, clock)([reading(5.0, 20.0), bad, reading(6.0, 21.0)])
    assert log.rows == [(5.0, {"temperature": 20.0, "humidity": None}), (6.0, {"temperature": 21.0})]


def test_a_channel_without_a_name_is_left_out(clock: VirtualClock) -> None:
    log = Log()
    sink = Dated(log, clock, lambda item: item.channel if item.channel != "humidity" else None)
    sink([reading(5.0, 20.0), reading(5.0, 50.0, channel="humidity"), reading(6.0, 51.0, channel="humidity")])
    assert log.rows == [(5.0, {"temperature": 20.0})]


def test_what_could_not_be_handed_on_comes_with_the_next_reading(clock: VirtualClock) -> None:
    log, failures = Log(), [OSError("disk full")]

    def append(t: float, values: dict[str, float | None]) -> None:
        if failures:
            raise failures.pop()
        log(t, values)

    sink = Dated(append, clock)
    with pytest.raises(OSError, match="disk full"):
        sink([reading(1.0)])
    sink([reading(2.0)])
    assert [t for t, _ in log.rows] == [1.0, 2.0]
    assert sink.held == 0


def test_what_waits_can_be_forgotten(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    sink = Dated(log, clock)
    monkeypatch.setattr(clock, "utc", lambda: None)
    sink([reading(1.0, utc=None), reading(1.0, utc=None, channel="humidity")])
    assert sink.held == 2
    sink.forget()
    monkeypatch.undo()
    sink([reading(2.0)])
    assert [t for t, _ in log.rows] == [2.0]


def test_before_the_clock_is_known_readings_wait_and_are_dated_afterwards(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log = Log()
    sink = Dated(log, clock, lambda item: f"{item.sensor}.{item.channel}")
    monkeypatch.setattr(clock, "utc", lambda: None)
    for second in range(3):
        sink([reading(float(second), 20.0 + second, utc=None)])
    assert log.rows == []
    clock.sleep(10)
    monkeypatch.setattr(clock, "utc", lambda: 1_000_010.0)
    sink([reading(10.0, 30.0, utc=1_000_010.0)])
    assert [t for t, _ in log.rows] == [1_000_000.0, 1_000_001.0, 1_000_002.0, 1_000_010.0]
    assert log.rows[0][1] == {"roof.temperature": 20.0}
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "said once, and once when it is over"
    assert "this machine's clock is not synchronised, so readings wait in memory; see `timedatectl`" in caplog.messages[0]
    assert "4 readings that waited for it are dated" in caplog.messages[1]


def test_a_moment_is_dated_as_readings_are(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, noted = Dated(Log(), clock), list[float]()
    monkeypatch.setattr(clock, "utc", lambda: None)
    clock.sleep(3)
    sink.at(2.0, noted.append)
    assert noted == []
    clock.sleep(7)
    monkeypatch.setattr(clock, "utc", lambda: 1_000_010.0)
    sink([reading(10.0, 30.0, utc=1_000_010.0)])
    assert noted == [1_000_002.0]
    sink.at(10.0, noted.append)
    assert noted == [1_000_002.0, 1_000_010.0]


def test_a_clock_that_becomes_known_or_is_set_back_is_told_of(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[float] = []
    sink = Dated(Log(), clock, known=known.append)
    for utc in (None, 1000.0, 1001.0, 1000.5, 4000.0, 1002.0, 1003.0):
        monkeypatch.setattr(clock, "utc", lambda utc=utc: utc)
        sink([reading(clock.monotonic(), 1.0, utc=utc)])
    assert known == [1000.0, 1002.0], "an hour ahead, and back again; what an NTP client corrects in passing is nothing"


def test_what_waits_is_bounded(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    sink = Dated(log, clock, hold=5)
    monkeypatch.setattr(clock, "utc", lambda: None)
    for second in range(20):
        sink([reading(float(second), float(second), utc=None)])
    monkeypatch.setattr(clock, "utc", lambda: 0.0)
    sink([reading(20.0, 20.0)])
    assert [t for t, _ in log.rows] == [16.0, 17.0, 18.0, 19.0, 20.0]
