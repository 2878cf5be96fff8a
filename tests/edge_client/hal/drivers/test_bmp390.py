"""BMP390: the trimming and the reading of a real chip, the formulas beside exact fractions, and what the driver refuses to believe."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bramble_client.hal import errors
from bramble_client.hal.drivers.bmp390 import Calibration
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.chips.bmp390 import TRIM
from tests.edge_client.hal.bench import WORLD, Bench, stopped

REAL_TRIM = bytes.fromhex("236b5849f65cffcef42300ea636e79f3f6aa4312c4")
REAL_DATA = bytes.fromhex("979f6d73d885")
"""What a chip held in its registers from 0x31 and from 0x04 on, as its owner published it: 100876.0063 Pa and 30.4993 °C."""


def test_the_driver_reads_a_real_chip_as_its_owner_did() -> None:
    bench = stopped("bmp390")
    assert bench.bus.transfer(0x76, b"\x31", 21) == REAL_TRIM
    bench.chip.memory[0x04:0x0A] = REAL_DATA
    assert bench.read() == pytest.approx({"temperature": 30.499314453874284, "pressure": 1008.7600634692199}, rel=1e-12)


def test_the_simulated_chip_shows_what_the_real_one_did() -> None:
    bench = Bench("bmp390", temperature=30.499314453874284, pressure=1008.7600634692199)
    bench.send(0x1B, 0x13)
    bench.clock.sleep(0.03)
    assert bench.bus.transfer(0x76, b"\x04", 6) == REAL_DATA


def test_a_calibration_is_scaled_as_section_8_4_says() -> None:
    calibration = Calibration.parse(REAL_TRIM)
    assert calibration.t == (27427 * 256, 18776 / 2**30, -10 / 2**48)
    assert calibration.p[:3] == ((-164 - 16384) / 2**20, (-2866 - 16384) / 2**29, 35 / 2**32)
    assert calibration.p[4:] == (25578 * 8, 31086 / 64, -13 / 256, -10 / 32768, 17322 / 2**48, 18 / 2**48, -60 / 2**65)
    assert len(TRIM) == len(calibration.t) + len(calibration.p)


@pytest.mark.parametrize("celsius", [-40.0, -10.0, 0.0, 25.0, 85.0])
@pytest.mark.parametrize("pressure", [300.0, 650.0, 1013.25, 1100.0])
def test_the_whole_range_comes_back(celsius: float, pressure: float) -> None:
    bench = Bench("bmp390", temperature=celsius, pressure=pressure)
    bench.driver.setup()
    assert bench.read() == pytest.approx({"temperature": celsius, "pressure": pressure}, abs=1e-3)


@pytest.mark.parametrize(
    ("temperature", "pressure", "lost"),
    [
        (0x85D873, 0x000000, {"pressure"}),
        (0x85D873, 0xFFFFFF, {"pressure"}),
        (0x000000, 0x6D9F97, {"temperature", "pressure"}),
        (0xFFFFFF, 0x6D9F97, {"temperature", "pressure"}),
        (0x85D873, 0x800000, set()),
        (0x800000, 0x6D9F97, set()),
    ],
)
def test_an_end_of_a_register_is_no_reading_of_what_follows_from_it(temperature: int, pressure: int, lost: set[str]) -> None:
    bench = stopped("bmp390")
    bench.chip.memory[0x04:0x0A] = pressure.to_bytes(3, "little") + temperature.to_bytes(3, "little")
    assert {key for key, value in bench.read().items() if math.isnan(value)} == lost


def test_both_registers_at_their_power_on_values_are_no_measurement() -> None:
    bench = stopped("bmp390")
    bench.chip.memory[0x04:0x0A] = b"\x00\x00\x80" * 2
    with pytest.raises(errors.SettingsLost, match="power-on values instead of a measurement"):
        bench.read()


def spoil(bench: Bench, change: Callable[[bytes, int, bytes], bytes]) -> None:
    """Change what is read: ``change`` takes what was written, which read this is, and the data."""
    transfer, count = bench.bus.transfer, [0]

    def spoilt(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        data = transfer(address, write, read, once)
        count[0] += bool(read)
        return change(write, count[0], data) if read else data

    bench.bus.transfer = spoilt  # type: ignore[method-assign]


@pytest.mark.parametrize("byte", range(1, 7))
def test_two_reads_that_differ_are_damage(byte: int) -> None:
    bench = stopped("bmp390")
    spoil(bench, lambda write, which, data: data[:byte] + bytes((data[byte] ^ 1,)) + data[byte + 1 :] if which == 2 else data)
    with pytest.raises(errors.UnsteadyRead):
        bench.read()


@pytest.mark.parametrize("which", [1, 2])
def test_the_event_of_a_reset_is_believed_in_either_read(which: int) -> None:
    bench = stopped("bmp390")
    spoil(bench, lambda write, number, data: data[:13] + b"\x01" if number == which else data)
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.read()


@pytest.mark.parametrize(("register", "value"), [(0x1C, 0x02), (0x1F, 0x02), (0x1C, 0x0B)])
def test_settings_that_are_not_what_was_written_are_lost(register: int, value: int) -> None:
    bench = stopped("bmp390")
    bench.send(register, value)
    with pytest.raises(errors.SettingsLost):
        bench.read()


@pytest.mark.parametrize("order", [0x12, 0x11, 0x03, 0x33])
def test_an_order_that_was_damaged_is_noticed(order: int) -> None:
    bench = stopped("bmp390")
    transfer = bench.bus.transfer

    def damaged(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        return transfer(address, bytes((0x1B, order)) if write == b"\x1b\x13" else write, read, once)

    bench.bus.transfer = damaged  # type: ignore[method-assign]
    with pytest.raises((errors.NotReady, errors.SettingsLost)):
        bench.read()


def test_a_bmp388_is_read_as_well_and_an_older_sibling_is_named() -> None:
    bench = Bench("bmp390", **WORLD)
    bench.chip.memory[0x00] = 0x50
    assert bench.driver.identify(bench.bus, 0x76)
    bench.driver.setup()
    assert bench.read() == pytest.approx({"temperature": 25.0, "pressure": 1000.0}, abs=1e-3)
    bench.chip.memory[0x00] = 0x00
    assert not bench.driver.identify(bench.bus, 0x76)
    with pytest.raises(
        errors.WrongChip, match="not 0x60; BMP280, BME280 and BME680 may sit at the same address: run `bramble sensors scan`"
    ):
        bench.driver.setup()


def test_a_chip_that_does_not_come_out_of_its_reset_is_not_ready() -> None:
    bench = Bench("bmp390", **WORLD)
    spoil(bench, lambda write, which, data: bytes((data[0] & ~0x10,)) + data[1:] if write == b"\x03" else data)
    with pytest.raises(errors.NotReady, match="not ready after a reset"):
        bench.driver.setup()


@pytest.mark.parametrize(("osr", "seconds"), [(0x00, 0.004829), (0x02, 0.010889), (0x03, 0.018969), (0x0D, 0.069469)])
def test_a_forced_measurement_takes_its_time_and_ends_in_sleep(osr: int, seconds: float) -> None:
    """Section 3.9.2: 234 + (392 + 2020 * 2^osr_p) + (163 + 2020 * 2^osr_t) us."""
    bench = Bench("bmp390", **WORLD)
    bench.send(0x1C, osr)
    bench.send(0x1B, 0x13)
    bench.clock.sleep(seconds - 1e-4)
    assert bench.ask(0x03, read=1) & 0x60 == 0
    assert bench.ask(0x1B, read=1) == 0x13
    bench.clock.sleep(2e-4)
    assert bench.ask(0x03, read=1) & 0x60 == 0x60
    assert bench.ask(0x1B, read=1) == 0x03
    assert bench.ask(0x04, read=1) >= 0
    assert bench.ask(0x03, read=1) & 0x60 == 0x40, "the pressure was fetched, the temperature was not"


def test_in_normal_mode_the_chip_goes_on_at_its_output_rate() -> None:
    bench = Bench("bmp390", **WORLD)
    for register, value in ((0x1C, 0x00), (0x1D, 0x02), (0x1B, 0x33)):  # 50 Hz
        bench.send(register, value)
    bench.clock.sleep(0.006)
    first = bench.ask(0x04, read=6)
    bench.world.values["pressure"] = 900.0
    bench.clock.sleep(0.018)
    assert bench.ask(0x04, read=6) == first
    bench.clock.sleep(0.003)
    assert bench.ask(0x04, read=6) != first


def test_the_chip_tells_of_a_reset_until_it_was_asked() -> None:
    """Section 4.3.8: por_detected."""
    bench = Bench("bmp390", **WORLD)
    for _ in range(2):
        assert [bench.ask(0x10, read=1), bench.ask(0x10, read=1)] == [1, 0]
        bench.send(0x7E, 0xB6)


def test_in_a_deep_mine_the_pressure_is_still_good() -> None:
    readings = {reading.channel: reading for reading in Sensor(Bench("bmp390", temperature=40.0, pressure=1240.0).driver).read()}
    assert readings["pressure"].good
    assert readings["pressure"].value == pytest.approx(1240.0, abs=0.01)
