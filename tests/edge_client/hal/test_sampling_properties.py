"""Sampling under arbitrary delays: no drift, every deadline taken or counted, every reading dated once and in order."""

from __future__ import annotations

import logging
from math import floor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.readings import Quality, Reading
from bramble_client.hal.sampler import Dated, Deadlines, Sampler, Stats
from tests.examples import examples

ARBITRARY = settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])


def one(t: float, utc: float | None = None, channel: str = "temperature") -> Reading:
    return Reading("roof", channel, t, "°C", t, utc, 1, Quality.GOOD, False)


class Busy:
    """A source whose reads take what the test says, one after the other."""

    name = "roof"

    def __init__(self, clock: VirtualClock, takes: list[float]) -> None:
        self.clock, self.takes = clock, takes
        self.asked: list[float] = []

    def read(self) -> list[Reading]:
        self.asked.append(self.clock.monotonic())
        self.clock.sleep(self.takes[len(self.asked) % len(self.takes)])
        return []


@ARBITRARY
@given(
    st.integers(1, 5000),
    st.integers(0, 1000),
    st.lists(st.integers(0, 15_000), min_size=1, max_size=10),
    st.lists(st.integers(0, 10_000), min_size=1, max_size=10),
)
def test_every_sample_lies_in_a_slot_of_its_own_and_every_other_slot_is_missed(
    ticks: int, start: int, takes: list[int], late: list[int]
) -> None:
    """Slots are counted from the start. Times are whole ticks of 1/64 s, so that a deadline is met or missed exactly."""
    clock, interval = VirtualClock(float(start)), ticks / 64
    source = Busy(clock, [taken / 64 for taken in takes])
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        clock.sleep(seconds + late[len(waits) % len(late)] / 64)
        return len(waits) > 40

    sampler = Sampler([(source, interval)], lambda readings: None, clock, wait)
    sampler.parts[0].run()
    slots = [floor((at - start) * 64) // ticks for at in source.asked]
    assert len(set(slots)) == len(slots) == 40
    stats = sampler.stats["roof"]
    assert stats.taken == 40
    assert stats.missed == slots[-1] + 1 - 40, "taken and missed together are all slots that there were"
    assert stats.latest == max(at - start - slot * interval for at, slot in zip(source.asked, slots, strict=True)) < interval
    assert all(0 <= seconds <= interval for seconds in waits)


def test_a_punctual_sampler_is_not_late(clock: VirtualClock) -> None:
    source = Busy(clock, [0.2])

    def wait(seconds: float) -> bool:
        clock.sleep(seconds)
        return clock.monotonic() >= 100

    sampler = Sampler([(source, 1.0)], lambda readings: None, clock, wait)
    sampler.parts[0].run()
    assert source.asked == pytest.approx(range(100))
    stats = sampler.stats["roof"]
    assert (stats.taken, stats.missed, stats.latest) == (100, 0, pytest.approx(0.0, abs=1e-9))
    assert Stats() == Stats(0, 0, 0.0)


def test_the_first_deadline_is_the_start_and_an_early_look_takes_it() -> None:
    schedule = Deadlines(100.0, 10.0)
    assert schedule.due == 100.0
    assert schedule.take(99.0) == 0
    assert schedule.due == 110.0
    assert schedule.take(110.0) == 0
    assert schedule.take(139.9) == 1, "the one at 120; the sample is for the one at 130"
    assert schedule.due == 140.0


@pytest.mark.parametrize("interval", [-1.0, 0.0, float("nan")])
def test_an_interval_that_is_none_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="an interval must be positive"):
        Deadlines(0.0, interval)


def test_a_source_that_gives_nothing_does_not_trouble_the_sink(clock: VirtualClock) -> None:
    source = Busy(clock, [1.0])
    sampler = Sampler([(source, 1.0)], lambda readings: pytest.fail("nothing to take"), clock, lambda seconds: clock.monotonic() > 3)
    clock.sleep(2)
    sampler.parts[0]._sample()
    assert not sampler.parts[0]._failing


@ARBITRARY
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), min_size=1, max_size=40))
def test_every_reading_is_dated_once_and_in_order(caplog: pytest.LogCaptureFixture, steps: list[tuple[bool, int]]) -> None:
    """The wall clock is known or not at each step; boot was at a UTC that only a synchronised clock tells."""
    caplog.clear()
    caplog.set_level(logging.INFO)
    clock, boot = VirtualClock(), 1_700_000_000.0
    rows: list[tuple[float, dict[str, float | None]]] = []
    sink = Dated(lambda t, values: rows.append((t, values)), clock)
    given_ = 0
    waiting, changes = False, 0
    for known, count in steps:
        clock.sleep(1.0)
        clock.utc = lambda known=known: boot + clock.monotonic() if known else None  # type: ignore[misc, method-assign]
        now = clock.monotonic()
        batch = [one(now - i / 8, boot + now - i / 8 if known else None) for i in reversed(range(count))]
        sink(batch)
        given_ += count
        changes += waiting == known
        waiting = not known
        assert len(rows) + sink.held == given_, "none lost, none twice"
        assert (sink.held == 0) is known or not known
    assert [t for t, _ in rows] == sorted(t for t, _ in rows)
    assert all(values == {"temperature": pytest.approx(t - boot, abs=1e-6)} for t, values in rows)
    assert len(caplog.records) == changes, "each change of state is one line"


@ARBITRARY
@given(st.lists(st.integers(1, 5), min_size=1, max_size=60), st.integers(1, 20))
def test_what_waits_for_a_clock_is_the_newest_that_fits(sizes: list[int], hold: int) -> None:
    clock = VirtualClock()
    clock.utc = lambda: None  # type: ignore[method-assign]
    rows: list[float] = []
    sink = Dated(lambda t, values: rows.append(t), clock, hold=hold)
    times: list[list[float]] = []
    t = 0.0
    for size in sizes:
        times.append([t + i for i in range(size)])
        sink([one(at) for at in times[-1]])
        t += size
        assert sink.held <= max(hold, size)
    clock.utc = lambda: clock.monotonic()  # type: ignore[method-assign]
    sink([one(t)])
    flat = [at for batch in times for at in batch] + [t]
    assert rows == flat[-len(rows) :], "in order, without a gap, to the newest"
    assert len(rows) > min(hold, len(flat)) - 5, "no more is dropped than must be"


def test_readings_of_two_channels_at_one_time_share_a_row(clock: VirtualClock) -> None:
    rows: list[dict[str, float | None]] = []
    clock.sleep(5)
    Dated(lambda t, values: rows.append(values), clock)([one(5.0), one(5.0, channel="humidity"), one(5.5)])
    assert rows == [{"temperature": 5.0, "humidity": 5.0}, {"temperature": 5.5}]


def test_a_store_that_fails_half_way_gets_the_batch_again(clock: VirtualClock) -> None:
    """Rows are keyed by time in the recorder, so that a repeated one is the same one; a lost one would be lost."""
    rows: list[float] = []
    broken = [True]

    def append(t: float, values: dict[str, float | None]) -> None:
        if t == 2.0 and broken and broken.pop():
            raise OSError("disk full")
        rows.append(t)

    sink = Dated(append, clock)
    with pytest.raises(OSError, match="disk full"):
        sink([one(1.0, 1.0), one(2.0, 2.0)])
    assert sink.held == 2
    sink([one(3.0, 3.0)])
    assert rows == [1.0, 1.0, 2.0, 3.0]
    assert sink.held == 0
