from __future__ import annotations

import logging

import pytest

from bramble_client.hal import Quality
from bramble_client.hal.sim.faults import Faults, Kind
from bramble_client.hal.stream import Stream
from tests.edge_client.hal.bench import Bench

STILL = {"temperature": 20.0, **{f"{kind}_{axis}": 0.0 for kind in ("acceleration", "rotation") for axis in "xyz"}}


def stream(name: str = "mpu6050") -> tuple[Bench, Stream]:
    bench = Bench(name, **STILL)
    del bench.chip.random.gauss
    return bench, Stream(bench.driver, 200.0, "motion", simulated=True)


def drain(bench: Bench, source: Stream, times: int, pause: float = 0.1) -> int:
    count = 0
    for _ in range(times):
        bench.clock.sleep(pause)
        count += len(source.read()) // len(bench.driver.channels)
    return count


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_every_conversion_becomes_readings(name: str) -> None:
    bench, source = stream(name)
    assert source.read() == [], "the first call starts the queue"
    bench.clock.sleep(0.1)
    readings = source.read()
    assert len(readings) == pytest.approx(20 * len(bench.driver.channels), abs=3 * len(bench.driver.channels))
    first = readings[0]
    assert (first.sensor, first.channel, first.sequence, first.quality, first.simulated) == (
        "motion",
        "acceleration_x",
        1,
        Quality.GOOD,
        True,
    )
    assert first.utc == pytest.approx(first.monotonic)
    assert readings[-1].sequence == len(readings) // len(bench.driver.channels)


def test_nothing_is_lost_while_it_is_fetched_in_time() -> None:
    bench, source = stream()
    source.read()
    assert drain(bench, source, 100) == pytest.approx(2000, abs=2)
    assert source.lost == 0


def test_a_queue_that_ran_over_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    bench, source = stream()
    source.read()
    drain(bench, source, 10)
    bench.clock.sleep(5)
    with caplog.at_level(logging.WARNING):
        assert source.read() == []
    assert "its queue was full and conversions were lost" in caplog.text
    assert source.lost == pytest.approx(1000, abs=5)
    assert drain(bench, source, 10) == pytest.approx(200, abs=2)


def test_a_chip_that_goes_comes_back_by_itself_and_is_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    bench, source = stream()
    source.read()
    drain(bench, source, 5)
    bench.bus.faults = faults = Faults(bench.clock)
    faults.on(Kind.UNPLUG, once=True, seconds=20)
    with caplog.at_level(logging.WARNING):
        drain(bench, source, 190)
        assert source.error is not None
        faults.off()
        drain(bench, source, 400)
    assert source.error is None
    assert [record.message.split(":")[0] for record in caplog.records] == ["sensor motion is gone", "sensor motion is back"]
    assert drain(bench, source, 10) == pytest.approx(200, abs=2)


def test_a_brown_out_costs_one_drain() -> None:
    bench, source = stream()
    source.read()
    drain(bench, source, 5)
    bench.chip.power_on()
    drain(bench, source, 2)
    assert drain(bench, source, 10) == pytest.approx(200, abs=2)
    assert source.lost > 0


def test_a_stuck_chip_is_marked() -> None:
    bench, source = stream()
    source.read()
    drain(bench, source, 2)
    bench.chip.frozen = True
    bench.clock.sleep(0.1)
    qualities = [reading.quality for reading in source.read()]
    assert qualities[-1] is Quality.FROZEN


def test_a_spike_in_a_stream_is_marked() -> None:
    bench, source = stream("adxl345")
    source.read()
    drain(bench, source, 2)
    bench.bus.faults = faults = Faults(bench.clock)
    faults.on(Kind.SPIKE, once=True)
    bench.clock.sleep(0.1)
    readings = source.read()
    bad = [reading for reading in readings if not reading.good]
    assert [reading.quality for reading in bad] == [Quality.JUMP] * 3
