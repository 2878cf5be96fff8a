"""MPU-6050 and ADXL345 on their own: rates, ranges, flags and queues, as their data sheets have them."""

from __future__ import annotations

import struct

import pytest

from tests.edge_client.hal.bench import WORLD, Bench

G = 9.80665
A_MOMENT = 1e-5


def mpu6050(**world: float) -> Bench:
    bench = Bench("mpu6050", **{**WORLD, **world})
    bench.send(0x6B, 0x01)
    return bench


def adxl345(**world: float) -> Bench:
    bench = Bench("adxl345", **{**WORLD, **world})
    bench.send(0x2D, 0x08)
    return bench


def words(bench: Bench, register: int, count: int, order: str = ">") -> tuple[int, ...]:
    return struct.unpack(f"{order}{count}h", bench.bus.transfer(bench.driver.address, bytes((register,)), 2 * count))


def flag(bench: Bench, register: int, mask: int) -> bool:
    return bool(bench.ask(register, read=1) & mask)


@pytest.mark.parametrize(
    ("low_pass", "divider", "hertz"), [(0, 0, 8000), (0, 79, 100), (7, 7, 1000), (1, 0, 1000), (3, 4, 200), (6, 255, 3.90625)]
)
def test_mpu6050_divides_its_rate(low_pass: int, divider: int, hertz: float) -> None:
    """Section 4.2: 8 kHz without the low-pass filter, 1 kHz with it, divided by one more than the register says."""
    bench = mpu6050()
    bench.send(0x19, divider, low_pass)
    bench.ask(0x3A, read=1)
    bench.clock.sleep(1 / hertz - A_MOMENT)
    assert not flag(bench, 0x3A, 1)
    bench.clock.sleep(2 * A_MOMENT)
    assert flag(bench, 0x3A, 1)
    assert not flag(bench, 0x3A, 1), "reading the status clears it"


@pytest.mark.parametrize(("scale", "steps", "dps"), [(0, 16384, 131), (1, 8192, 65.5), (2, 4096, 32.8), (3, 2048, 16.4)])
def test_mpu6050_has_the_sensitivities_of_its_four_ranges(scale: int, steps: int, dps: float) -> None:
    """Sections 4.17 and 4.19."""
    bench = mpu6050(acceleration_x=G, acceleration_y=-G / 2, rotation_y=100.0, rotation_z=-200.0)
    bench.send(0x1B, scale << 3, scale << 3)
    bench.clock.sleep(0.01)
    x, y, z, _, gx, gy, gz = words(bench, 0x3B, 7)
    assert (x, y, z, gx) == (steps, -steps // 2, 0, 0)
    assert (gy, gz) == (pytest.approx(100 * dps, rel=2e-3), pytest.approx(-200 * dps, rel=2e-3))


@pytest.mark.parametrize(("air", "raw"), [(25.0, -521), (26.53, 0), (75.0, 16480)])
def test_mpu6050_shows_its_dies_temperature_in_340ths_of_a_degree(air: float, raw: int) -> None:
    """Section 4.18: raw / 340 + 36.53 °C. The die is taken to be 10 °C warmer than the air."""
    bench = mpu6050(temperature=air)
    bench.clock.sleep(0.01)
    assert words(bench, 0x41, 1)[0] == pytest.approx(raw, abs=1)
    assert raw / 340 + 36.53 == pytest.approx(air + 10, abs=0.01)


@pytest.mark.parametrize(
    ("enabled", "frame"), [(0x08, "a"), (0x80, "t"), (0x70, "g"), (0x78, "ag"), (0xF8, "atg"), (0x40, "x"), (0x20, "y"), (0x10, "z")]
)
def test_mpu6050_queues_what_is_enabled_in_the_order_of_its_registers(enabled: int, frame: str) -> None:
    """Section 4.6: acceleration, temperature, rotation."""
    bench = mpu6050(acceleration_x=G, rotation_x=10.0, rotation_y=20.0, rotation_z=30.0, temperature=26.53)
    bench.send(0x19, 9, 1)
    bench.send(0x23, enabled)
    bench.send(0x6A, 0x40)
    bench.clock.sleep(0.0101)
    parts = {"a": [16384, 0, 0], "t": [0], "g": [1310, 2620, 3930], "x": [1310], "y": [2620], "z": [3930]}
    expected = [value for part in frame for value in parts[part]]
    assert bench.ask(0x72) == 2 * len(expected)
    assert list(words(bench, 0x74, len(expected))) == expected
    assert bench.ask(0x72) == 0, "fetched"
    assert bench.ask(0x74, read=4) == 0, "an empty queue gives zeros"


def test_mpu6050s_queue_is_off_until_it_is_enabled_and_empty_when_it_is_reset() -> None:
    bench = mpu6050()
    bench.send(0x19, 9, 1)
    bench.send(0x23, 0x78)
    bench.clock.sleep(0.05)
    assert bench.ask(0x72) == 0
    bench.send(0x6A, 0x40)
    bench.clock.sleep(0.05)
    assert bench.ask(0x72) == pytest.approx(60, abs=12)
    bench.send(0x6A, 0x44)
    assert bench.ask(0x72) == 0
    assert bench.ask(0x6A, read=1) == 0x40, "the reset bit clears itself"


def test_mpu6050s_queue_keeps_the_newest_1024_bytes_and_says_that_it_ran_over() -> None:
    bench = mpu6050()
    bench.send(0x19, 9, 1)
    bench.send(0x23, 0x78)
    bench.send(0x6A, 0x40)
    bench.clock.sleep(0.8501)
    assert bench.ask(0x72) == 85 * 12
    assert not flag(bench, 0x3A, 0x10)
    bench.world.values["acceleration_x"] = G
    bench.clock.sleep(0.01)
    assert bench.ask(0x72) == 1024
    assert flag(bench, 0x3A, 0x10)
    data = bench.bus.transfer(0x68, b"\x74", 1024)
    assert data[-12:-10] == b"\x40\x00", "the newest is last"


def test_mpu6050_asleep_stands_still() -> None:
    bench = mpu6050(acceleration_x=G)
    bench.clock.sleep(0.01)
    assert words(bench, 0x3B, 1) == (16384,)
    bench.send(0x6B, 0x40)
    bench.world.values["acceleration_x"] = 0.0
    bench.clock.sleep(1)
    assert words(bench, 0x3B, 1) == (16384,)


@pytest.mark.parametrize("name", ["mpu6050", "adxl345"])
def test_a_frozen_chip_goes_on_filling_its_queue_with_one_value(name: str) -> None:
    bench = Bench(name, **WORLD)
    bench.driver.start(200.0)
    bench.clock.sleep(0.02)
    bench.driver.drain()
    bench.chip.frozen = True
    bench.world.values["acceleration_x"] = 5.0
    bench.clock.sleep(0.05)
    assert {item.values["acceleration_x"] for item in bench.driver.drain()} == {0.0}


@pytest.mark.parametrize(("code", "hertz"), [(15, 3200), (13, 800), (10, 100), (9, 50), (7, 12.5), (3, 0.78125)])
def test_adxl345_has_the_rates_of_table_7(code: int, hertz: float) -> None:
    bench = adxl345()
    bench.send(0x2C, code)
    bench.ask(0x32, read=6)
    bench.clock.sleep(1 / hertz - A_MOMENT)
    assert not flag(bench, 0x30, 0x80)
    bench.clock.sleep(2 * A_MOMENT)
    assert flag(bench, 0x30, 0x80)
    assert flag(bench, 0x30, 0x80), "reading the status does not clear it"
    bench.ask(0x32, read=6)
    assert not flag(bench, 0x30, 0x80), "reading the data does"


@pytest.mark.parametrize(
    ("data_format", "steps", "limit"),
    [(0x00, 256, 511), (0x01, 128, 511), (0x02, 64, 511), (0x03, 32, 511), (0x08, 256, 511), (0x09, 256, 1023), (0x0B, 256, 4095)],
)
def test_adxl345_has_the_scales_of_table_1(data_format: int, steps: int, limit: int) -> None:
    """10 bits, or as many as the range needs at 256 steps per g; two's complement."""
    bench = adxl345(acceleration_x=G, acceleration_y=-G, acceleration_z=1000.0)
    bench.send(0x31, data_format)
    bench.clock.sleep(0.1)
    assert words(bench, 0x32, 3, "<") == (steps, -steps, limit)
    bench.world.values["acceleration_z"] = -1000.0
    bench.clock.sleep(0.1)
    assert words(bench, 0x32, 3, "<")[2] == -limit - 1


def test_adxl345_stands_by_when_it_is_told_to() -> None:
    bench = adxl345(acceleration_x=G)
    bench.clock.sleep(0.1)
    assert words(bench, 0x32, 1, "<") == (256,)
    bench.send(0x2D, 0x00)
    bench.world.values["acceleration_x"] = 0.0
    bench.clock.sleep(1)
    assert words(bench, 0x32, 1, "<") == (256,)


def queued(count: int) -> Bench:
    """An ADXL345 in stream mode whose x counts the conversions, from 1."""
    bench = adxl345()
    bench.send(0x38, 0x80)
    bench.chip.run(100)
    for number in range(1, count + 1):
        bench.world.values["acceleration_x"] = number * G / 256
        bench.clock.sleep(0.01)
        bench.chip.refresh()
    return bench


def test_adxl345s_queue_gives_the_oldest_first_one_for_each_read_of_the_data() -> None:
    bench = queued(5)
    assert bench.ask(0x39, read=1) == 5
    seen = []
    while bench.ask(0x39, read=1):
        assert flag(bench, 0x30, 0x80)
        seen.append(words(bench, 0x32, 3, "<")[0])
    assert seen == [1, 2, 3, 4, 5]
    assert not flag(bench, 0x30, 0x80)


def test_adxl345s_queue_keeps_the_newest_32_and_says_that_it_ran_over() -> None:
    bench = queued(32)
    assert not flag(bench, 0x30, 0x01)
    assert bench.ask(0x39, read=1) == 32
    bench = queued(35)
    assert flag(bench, 0x30, 0x01)
    assert bench.ask(0x39, read=1) == 32
    assert words(bench, 0x32, 1, "<") == (4,)
    assert not flag(bench, 0x30, 0x01), "reading the data clears it"


def test_adxl345s_bypass_empties_the_queue() -> None:
    bench = queued(5)
    bench.send(0x38, 0x00)
    assert bench.ask(0x39, read=1) == 0
    bench = queued(35)
    bench.send(0x38, 0x00)
    assert not flag(bench, 0x30, 0x01)


def test_adxl345s_other_registers_leave_the_queue_alone() -> None:
    bench = queued(3)
    for register in (0x2C, 0x30, 0x31, 0x38, 0x39):
        bench.ask(register, read=1)
    assert bench.ask(0x39, read=1) == 3
    bench.ask(0x2C, read=7)
    assert bench.ask(0x39, read=1) == 2, "a burst that touches the data takes one out"


@pytest.mark.parametrize(("name", "register"), [("mpu6050", 0x3B), ("adxl345", 0x32)])
def test_without_a_queue_the_latest_conversion_overwrites_all_before(name: str, register: int) -> None:
    bench = mpu6050() if name == "mpu6050" else adxl345()
    felt: list[str] = []
    original = bench.chip.feel
    bench.chip.feel = lambda key, noise=0.0: (felt.append(key), original(key, noise))[1]
    bench.world.values["acceleration_x"] = G
    bench.clock.sleep(1)
    assert words(bench, register, 1, ">" if name == "mpu6050" else "<")[0] > 0
    assert felt.count("acceleration_x") == 1, "nobody could tell what was overwritten, so it is not made"
