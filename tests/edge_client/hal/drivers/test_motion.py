"""MPU-6050 and ADXL345: scales, single reads, and bursts out of their queues."""

from __future__ import annotations

import itertools
from math import isnan
from typing import Any

import pytest

from bramble_client.hal import errors
from bramble_client.hal.drivers.base import Pacer
from tests.edge_client.hal.bench import Bench, Flat

G = 9.80665
STILL = {"temperature": 20.0, **{f"{kind}_{axis}": 0.0 for kind in ("acceleration", "rotation") for axis in "xyz"}}
MOVED = {**STILL, "acceleration_x": G, "acceleration_y": -2 * G, "acceleration_z": 0.5 * G, "rotation_x": 100.0, "rotation_z": -250.0}


class Ramp(Flat):
    """Acceleration along x grows by 0.1 m/s² each second, so that a value tells its time."""

    def at(self, t: float) -> dict[str, float]:
        return {**self.values, "acceleration_x": 0.1 * t}


def test_mpu6050_scales_are_the_register_maps() -> None:
    """Sections 4.17 and 4.19: 8192 per g at 4 g, 65.5 per °/s at 500 °/s."""
    bench = Bench("mpu6050", **MOVED)
    bench.driver.setup()
    bench.clock.sleep(0.01)
    assert bench.read() == pytest.approx({key: value for key, value in MOVED.items() if key != "temperature"}, abs=0.02)
    raw = bench.bus.transfer(0x68, b"\x3b", 14)
    assert [int.from_bytes(raw[i : i + 2], "big", signed=True) for i in (0, 2, 4)] == [8192, -16384, 4096]
    assert [int.from_bytes(raw[i : i + 2], "big", signed=True) for i in (8, 10, 12)] == [6550, 0, -16375]


def test_adxl345_scale_is_256_per_g() -> None:
    bench = Bench("adxl345", **MOVED)
    bench.driver.setup()
    bench.clock.sleep(0.02)
    assert bench.read() == pytest.approx({key: MOVED[key] for key in bench.driver.channels}, abs=0.02)
    raw = bench.bus.transfer(0x53, b"\x32", 6)
    assert [int.from_bytes(raw[i : i + 2], "little", signed=True) for i in (0, 2, 4)] == [256, -512, 128]


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_beyond_the_range_the_chip_clips(name: str) -> None:
    bench = Bench(name, **{**STILL, "acceleration_x": 1000.0})
    bench.driver.setup()
    bench.clock.sleep(0.02)
    values = bench.read()
    assert [key for key, value in values.items() if isnan(value)] == ["acceleration_x"], "a chip that clips has measured nothing there"


def test_mpu6050_sleeps_after_power_on_and_is_noticed_when_it_does() -> None:
    bench = Bench("mpu6050", **STILL)
    assert bench.ask(0x6B, read=1) == 0x40
    bench.clock.sleep(1)
    assert bench.ask(0x3A, read=1) == 0
    bench.driver.setup()
    bench.clock.sleep(0.01)
    bench.read()
    bench.chip.power_on()
    with pytest.raises(errors.NotReady, match="has not measured"):
        bench.read()


def test_adxl345_stands_by_after_power_on_and_is_noticed_when_it_does() -> None:
    bench = Bench("adxl345", **STILL)
    assert (bench.ask(0x00, read=1), bench.ask(0x2C, read=1), bench.ask(0x2D, read=1)) == (0xE5, 0x0A, 0)
    bench.driver.setup()
    bench.clock.sleep(0.02)
    bench.read()
    bench.chip.power_on()
    with pytest.raises(errors.NotReady, match="has not measured"):
        bench.read()


def streaming(name: str, **options: Any) -> Bench:
    bench = Bench(name, **STILL)
    bench.scene.world = Ramp(**STILL)
    bench.scene.follow(0.0)
    bench.driver.start(200.0)
    return bench


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_a_queue_is_drained_without_loss_and_every_conversion_has_its_own_time(name: str) -> None:
    bench = streaming(name)
    begin = bench.clock.monotonic()
    measurements = []
    for pause in (0.05, 0.11, 0.02, 0.1, 0.004, 0.12) * 5:
        bench.clock.sleep(pause)
        measurements += bench.driver.drain()
    took = bench.clock.monotonic() - begin
    assert len(measurements) == pytest.approx(took * 200, abs=3)
    times = [measurement.at for measurement in measurements]
    assert times == sorted(times)
    assert all(abs(b - a - 0.005) < 0.0026 for a, b in itertools.pairwise(times))
    for measurement in measurements:
        truth = 0.1 * measurement.at
        assert measurement.values["acceleration_x"] == pytest.approx(truth, abs=0.0025 + 0.02), "0.0025 m/s² are 25 ms"


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_a_queue_that_ran_over_is_said_and_works_again(name: str) -> None:
    bench = streaming(name)
    bench.clock.sleep(2)
    with pytest.raises(errors.Overrun, match="fetch them more often"):
        bench.driver.drain()
    bench.clock.sleep(0.05)
    assert len(bench.driver.drain()) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_a_queue_of_a_chip_without_power_for_a_moment_is_noticed(name: str) -> None:
    bench = streaming(name)
    bench.clock.sleep(0.05)
    bench.driver.drain()
    bench.chip.power_on()
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.driver.drain()
    bench.driver.start(200.0)
    bench.clock.sleep(0.05)
    assert bench.driver.drain()


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_a_rate_that_the_chip_cannot_keep_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not at 123"):
        Bench(name, **STILL).driver.start(123)


def test_mpu6050_queue_that_holds_half_a_conversion_is_restarted() -> None:
    """Six axes shifted by a few bytes would all look plausible."""
    bench = streaming("mpu6050")
    bench.clock.sleep(0.05)
    bench.chip.refresh()
    del bench.chip.queue[:4]
    with pytest.raises(errors.Overrun):
        bench.driver.drain()
    bench.clock.sleep(0.05)
    assert [round(item.values["acceleration_z"], 1) for item in bench.driver.drain()] == [0.0] * 10


def test_mpu6050_fill_level_that_was_damaged_is_noticed() -> None:
    bench = streaming("mpu6050")
    bench.clock.sleep(0.05)
    original, levels = bench.bus.transfer, [b"\x01\x20"]  # 288 bytes: 24 conversions

    def transfer(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        data = original(address, write, read, once)
        return data[:-2] + levels.pop() if write == b"\x6a" and levels else data

    bench.bus.transfer = transfer  # type: ignore[method-assign]
    with pytest.raises(errors.UnsteadyRead, match="the fill level of its queue was damaged"):
        bench.driver.drain()


@pytest.mark.parametrize("error", [-0.03, 0.0, 0.03])
def test_stamps_follow_a_chip_whose_clock_is_off(error: float) -> None:
    pacer, made, stamps, now = Pacer(200.0), 0, [], 0.0
    true_period = 0.005 * (1 + error)
    for i in range(400):
        now += 0.05 + 0.007 * (i % 3)
        ready = int(now / true_period)
        stamps += pacer.stamps(ready - made, now, now)
        made = ready
    assert all(b > a for a, b in itertools.pairwise(stamps))
    assert all(abs(stamp - (i + 1) * true_period) < 0.0101 for i, stamp in enumerate(stamps))


def test_a_machine_that_was_busy_for_a_moment_does_not_shift_the_stamps() -> None:
    pacer, stamps = Pacer(200.0), []
    for i in range(1, 101):
        now = i * 0.1
        busy = 0.08 if i % 7 == 0 else 0.0
        stamps += pacer.stamps(20, now - busy / 2, now + busy / 2)
    assert all(abs(stamp - (i + 1) * 0.005) < 0.006 for i, stamp in enumerate(stamps))


def test_no_conversions_need_no_stamps() -> None:
    assert Pacer(200.0).stamps(0, 1.0, 1.0) == []
