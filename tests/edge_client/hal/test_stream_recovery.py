"""What becomes of a queue's conversions when draining fails: lost ones counted, failures said once, starts that back off."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bramble_client.hal import Quality
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.base import Streaming
from bramble_client.hal.errors import NoAcknowledge, NotReady, Overrun, SettingsLost
from bramble_client.hal.sim.faults import Faults, Kind
from bramble_client.hal.stream import Stream
from tests.edge_client.hal.bench import WORLD, Bench
from tests.edge_client.hal.scripted import ScriptedQueue, said
from tests.examples import examples

FULL, GONE = Overrun("full"), NoAcknowledge("nothing answers")


def stream(clock: VirtualClock, *drains: int | Exception) -> tuple[ScriptedQueue, Stream]:
    driver = ScriptedQueue(clock, drains)
    return driver, Stream(driver, 100.0)


def drain(source: Stream, clock: VirtualClock, times: int = 1, pause: float = 0.1) -> list[int]:
    """Return how many readings each drain gave."""
    counts = []
    for _ in range(times):
        clock.sleep(pause)
        counts.append(len(source.read()))
    return counts


def test_without_a_name_a_stream_is_called_as_its_driver_and_is_real(clock: VirtualClock) -> None:
    _, source = stream(clock, 10)
    source.read()
    clock.sleep(0.1)
    assert {(reading.sensor, reading.simulated) for reading in source.read()} == {("queue", False)}
    assert (source.lost, source.sequence, source.error) == (0, 10, None)


def test_numbers_go_on_from_drain_to_drain(clock: VirtualClock) -> None:
    _, source = stream(clock, 3, 0, 2)
    source.read()
    numbers = []
    for _ in range(3):
        clock.sleep(0.03)
        numbers.append([reading.sequence for reading in source.read()])
    assert numbers == [[1, 2, 3], [], [4, 5]]


def test_each_conversion_has_its_own_utc(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    _, source = stream(clock, 3, 1)
    source.read()
    clock.sleep(0.03)
    monkeypatch.setattr(clock, "utc", lambda: 1_000_000.0)
    assert [reading.utc for reading in source.read()] == pytest.approx([999_999.98, 999_999.99, 1_000_000.0], abs=1e-6)
    monkeypatch.setattr(clock, "utc", lambda: None)
    clock.sleep(0.01)
    assert [reading.utc for reading in source.read()] == [None]


def test_utc_is_the_conversions_however_long_the_bus_takes(clock: VirtualClock) -> None:
    driver, source = stream(clock, 3)
    driver.takes = 0.09  # a kilobyte at 100 kHz
    source.read()
    clock.sleep(0.03)
    assert [reading.utc for reading in source.read()] == pytest.approx([0.01, 0.02, 0.03])


def test_what_a_full_queue_lost_is_counted_from_the_time_that_passed(clock: VirtualClock) -> None:
    _, source = stream(clock, 10, 10, FULL, 10, FULL)
    source.read()
    assert drain(source, clock, 2) == [10, 10]
    clock.sleep(0.9)
    assert drain(source, clock) == [0]
    assert source.lost == 100, "1.2 s are 120 conversions, of which 20 came"
    assert drain(source, clock) == [10]
    assert source.lost == 100, "counting began anew"
    assert drain(source, clock) == [0]
    assert source.lost == 110


def test_a_queue_that_keeps_running_over_is_said_once_and_once_when_it_keeps_up(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    _, source = stream(clock, *[FULL] * 50, 10, 10, FULL)
    source.read()
    drain(source, clock, 53)
    assert said(caplog) == ["sensor queue", "sensor queue keeps up again; 500 conversions were lost so far", "sensor queue"]
    assert source.error is None


def test_a_chip_that_is_faster_than_it_says_loses_nothing(clock: VirtualClock) -> None:
    _, source = stream(clock, 11, 11, FULL)
    source.read()
    drain(source, clock, 2)
    clock.sleep(-0.1)
    source.read()
    assert source.lost == 0


def test_starts_that_fail_are_repeated_at_growing_distances(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    driver, source = stream(clock, 5)
    driver.failing = GONE
    for _ in range(20_000):
        assert source.read() == []
        clock.sleep(0.01)
    waits = [later - earlier for earlier, later in zip(driver.starts, driver.starts[1:], strict=False)]
    assert waits[0] == pytest.approx(0.01), "after one failure it is tried at once"
    for i, wait in enumerate(waits[1:9]):
        assert 0.1 * 2**i * 0.75 - 1e-6 <= wait <= 0.1 * 2**i * 1.25 + 0.0101
    assert isinstance(source.error, NoAcknowledge)
    assert source.lost == 0, "what was never started has lost nothing"
    driver.failing = None
    clock.sleep(80)
    assert source.read() == []
    assert drain(source, clock) == [5]
    assert source.error is None
    assert said(caplog) == ["sensor queue is gone", "sensor queue is back"]


def test_after_an_absence_the_back_off_begins_small_again(clock: VirtualClock) -> None:
    driver, source = stream(clock, 5, GONE, 5)
    driver.failing = GONE
    for _ in range(2000):
        source.read()
        clock.sleep(0.01)
    driver.failing = None
    clock.sleep(80)
    source.read()
    assert drain(source, clock, 2) == [5, 0]
    starts = len(driver.starts)
    clock.sleep(0.01)
    source.read()
    assert len(driver.starts) == starts + 1, "one failure: tried at once"


def test_a_failing_drain_starts_the_queue_anew_and_counts_what_did_not_come(clock: VirtualClock) -> None:
    driver, source = stream(clock, 10, SettingsLost("brown-out"), 10)
    source.read()
    assert drain(source, clock, 2) == [10, 0]
    assert source.lost == 10
    assert drain(source, clock) == [0], "this one starts"
    assert len(driver.starts) == 2
    assert drain(source, clock) == [10]


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_a_chip_that_answers_and_no_longer_measures_is_gone_and_started_anew(name: str, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(name, **WORLD)
    del bench.chip.random.gauss  # a chip without its noise is frozen
    source = Stream(bench.driver, 200.0)
    source.read()
    assert sum(drain(source, bench.clock, 5)) > 0
    bench.chip.run(None)  # its oscillator has stopped
    drain(source, bench.clock, 9)
    assert source.error is None, "a queue may be empty for a moment"
    drain(source, bench.clock, 2)
    assert source.error is not None
    assert "has not measured for 1.0 s; take its power away for a moment" in caplog.text
    assert drain(source, bench.clock, 3)[-1] > 0, "the start set the chip up anew"
    assert source.error is None
    assert said(caplog) == [f"sensor {name} is gone", f"sensor {name} is back"]


def test_a_queue_that_ran_over_did_measure(clock: VirtualClock) -> None:
    _, source = stream(clock, *[FULL] * 30, 0, 10)
    source.read()
    drain(source, clock, 31)
    assert source.error is None


@pytest.mark.parametrize(("hertz", "patience"), [(100.0, 1.0), (2.0, 5.0)])
def test_how_long_a_queue_may_be_empty_depends_on_its_rate(clock: VirtualClock, hertz: float, patience: float) -> None:
    source = Stream(ScriptedQueue(clock, []), hertz)
    source.read()
    clock.sleep(patience)
    source.read()
    assert source.error is None
    clock.sleep(0.01)
    source.read()
    assert isinstance(source.error, NotReady)


def test_what_an_absence_costs_is_counted_when_it_ends(clock: VirtualClock) -> None:
    driver, source = stream(clock, 10, GONE, 10)
    source.read()
    drain(source, clock, 2)
    driver.failing = GONE
    for _ in range(1000):
        drain(source, clock)
    driver.failing = None
    while not source.read():
        clock.sleep(0.1)
    assert source.error is None
    assert source.lost + 20 == pytest.approx(100 * clock.monotonic(), abs=15)


def test_the_first_value_after_an_absence_is_compared_with_none_before_it(clock: VirtualClock) -> None:
    driver, source = stream(clock, 2, GONE, 1)
    source.read()
    drain(source, clock, 2, pause=0.001)
    driver.made = 1_000_000  # the next value is 100 m/s² away
    clock.sleep(0.001)
    source.read()
    clock.sleep(0.001)
    assert [reading.quality for reading in source.read()] == [Quality.GOOD]


def test_a_drivers_own_mistake_is_an_absence_and_shows_where_it_was_made(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    _, source = stream(clock, KeyError("axis"), 5)
    source.read()
    assert drain(source, clock) == [0]
    assert "the driver of queue at 0x40 is wrong (KeyError: 'axis'); tell its author" in caplog.text
    assert caplog.records[0].exc_info
    assert drain(source, clock, 2) == [0, 5]


@pytest.mark.parametrize(("name", "hertz"), [("adxl345", 400.0), ("adxl345", 25.0), ("mpu6050", 500.0), ("mpu6050", 50.0)])
def test_a_queue_is_emptied_well_before_it_is_full(name: str, hertz: float) -> None:
    bench = Bench(name, **WORLD)
    kind = type(bench.driver)
    assert issubclass(kind, Streaming)
    pause = kind.patience(hertz)
    assert pause * hertz <= kind.queue / 2
    assert pause <= 0.1
    source, count = Stream(bench.driver, hertz), 0
    source.read()
    for _ in range(int(10 / pause)):
        bench.clock.sleep(pause)
        count += len(source.read())
    assert count == pytest.approx(10 * hertz * len(kind.channels), rel=0.02)
    assert source.lost == 0


STEP = st.one_of(st.integers(0, 12), st.sampled_from([FULL, GONE, SettingsLost("brown-out"), ValueError("a mistake")]))


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=60), st.lists(st.floats(0.001, 3), min_size=1, max_size=10))
def test_whatever_happens_nothing_is_raised_lost_silently_or_said_twice(
    caplog: pytest.LogCaptureFixture, drains: list[int | Exception], pauses: list[float]
) -> None:
    caplog.clear()
    caplog.set_level(logging.INFO)
    clock = VirtualClock()
    driver, source = stream(clock, *drains)
    values, numbers, lost = list[float | None](), list[int](), 0
    for i in range(120):
        readings = source.read()
        values += [reading.value for reading in readings]
        numbers += [reading.sequence for reading in readings]
        assert source.lost >= lost, "what is lost stays lost"
        lost = source.lost
        clock.sleep(pauses[i % len(pauses)])
    assert values == [i * 1e-4 for i in range(driver.made)], "every conversion that was drained, once and in order"
    assert numbers == list(range(1, driver.made + 1))
    lines = [line for line in said(caplog) if line.endswith((" is gone", " is back"))]
    assert lines == ["sensor queue is gone", "sensor queue is back"] * (len(lines) // 2) + ["sensor queue is gone"] * (len(lines) % 2)
    assert (source.error is not None) == bool(len(lines) % 2)


def test_a_bus_that_fails_one_transfer_in_twenty_costs_no_stream(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("adxl345", **WORLD)
    del bench.chip.random.gauss
    source, count = Stream(bench.driver, 200.0), 0
    source.read()
    bench.bus.faults = faults = Faults(bench.clock)
    faults.on(Kind.NACK, 0.05)
    for _ in range(400):
        bench.clock.sleep(0.05)
        count += len(source.read()) // 3
    made = 400 * 0.05 * 200
    assert count > 0.9 * made
    assert count + source.lost == pytest.approx(made, rel=0.05), "what did not come was counted"
