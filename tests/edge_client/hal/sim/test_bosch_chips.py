"""The Bosch chips on their own: modes, oversampling, write rules, as the data sheets have them and no driver needs to use."""

from __future__ import annotations

import pytest

from tests.edge_client.hal.bench import Bench

WEATHER = {"temperature": 21.37, "humidity": 48.2, "pressure": 1006.5}


def bench(name: str = "bme280") -> Bench:
    made = Bench(name, **WEATHER)
    made.clock.sleep(0.01)
    return made


def temperature(made: Bench) -> int:
    return made.ask(0xFA, read=3) >> 4


def test_after_power_on_every_register_has_its_reset_value() -> None:
    made = bench()
    assert made.ask(0xD0, read=1) == 0x60
    assert made.ask(0xF2, read=4) == 0
    assert made.ask(0xF7, read=3) == made.ask(0xFA, read=3) == 0x800000
    assert made.ask(0xFD) == 0x8000


def test_the_calibration_is_loaded_for_two_milliseconds_after_a_reset() -> None:
    made = bench()
    made.send(0xE0, 0xB6)
    assert made.ask(0xF3, read=1) == 0x01
    made.clock.sleep(0.0021)
    assert made.ask(0xF3, read=1) == 0x00


def test_only_the_right_word_resets() -> None:
    made = bench()
    made.send(0xF5, 0xA0)
    made.send(0xE0, 0xB7)
    assert made.ask(0xF5, read=1) == 0xA0
    assert made.ask(0xE0, read=1) == 0, "the reset register always reads 0"
    made.send(0xE0, 0xB6)
    assert made.ask(0xF5, read=1) == 0


def test_what_can_only_be_read_stays() -> None:
    made = bench()
    before = made.ask(0x88, read=24)
    for register in (0x88, 0xD0, 0xF3, 0xFA, 0xFD):
        made.send(register, 0x55)
    assert made.ask(0xD0, read=1) == 0x60
    assert made.ask(0x88, read=24) == before
    made.send(0xF5, 0xFF)
    assert made.ask(0xF5, read=1) == 0xFD, "bit 1 of config does not exist"


def test_a_write_takes_pairs_of_register_and_value() -> None:
    """Section 6.2.1: there is no auto-increment in writes."""
    made = bench()
    made.send(0xF2, 0x03, 0xF5, 0xA0)
    assert made.ask(0xF2, read=1) == 0x03
    assert made.ask(0xF5, read=1) == 0xA0


def test_a_read_moves_on_by_itself() -> None:
    made = bench()
    made.send(0xF2, 0x03, 0xF5, 0xA0)
    assert made.ask(0xF2, read=4) == 0x030000A0


def test_forced_mode_measures_once_and_goes_to_sleep() -> None:
    made = bench()
    made.send(0xF4, 0x25)
    assert made.ask(0xF3, read=1) & 0x08, "measuring"
    assert made.ask(0xF4, read=1) & 3 == 1
    assert temperature(made) == 0x80000
    made.clock.sleep(0.02)
    assert not made.ask(0xF3, read=1) & 0x08
    assert made.ask(0xF4, read=1) & 3 == 0
    first = temperature(made)
    assert first != 0x80000
    made.world.values["temperature"] = 30.0
    made.clock.sleep(10)
    assert temperature(made) == first


def test_normal_mode_goes_on_measuring_with_its_standby_time() -> None:
    made = bench()
    made.send(0xF5, 5 << 5)  # 1 s
    made.send(0xF4, 0x27)
    made.clock.sleep(0.02)
    first = temperature(made)
    made.world.values["temperature"] = 30.0
    made.clock.sleep(0.9)
    assert temperature(made) == first, "standing by"
    made.clock.sleep(0.2)
    assert temperature(made) > first
    made.send(0xF4, 0x24)
    made.world.values["temperature"] = 10.0
    made.clock.sleep(10)
    assert temperature(made) > first, "asleep"


def test_humidity_is_measured_only_after_ctrl_meas_was_written() -> None:
    """Section 5.4.3."""
    made = bench()
    made.send(0xF4, 0x27)
    made.send(0xF2, 0x01)
    made.clock.sleep(2)
    assert made.ask(0xFD) == 0x8000
    made.send(0xF4, 0x27)
    made.clock.sleep(2)
    assert made.ask(0xFD) != 0x8000


@pytest.mark.parametrize(("control", "skipped"), [(0x05, "temperature"), (0x21, "pressure")])
def test_without_oversampling_a_measurement_is_skipped(control: int, skipped: str) -> None:
    made = bench()
    made.send(0xF4, control)
    made.clock.sleep(0.02)
    values = {"temperature": temperature(made), "pressure": made.ask(0xF7, read=3) >> 4}
    assert values.pop(skipped) == 0x80000
    assert 0x80000 not in values.values()


@pytest.mark.parametrize(("oversampling", "free"), [(1, 0xF), (2, 0x7), (3, 0x3), (4, 0x1)])
@pytest.mark.slow
def test_each_doubling_adds_a_bit(oversampling: int, free: int) -> None:
    """Section 3.4.3, with the filter off: 16 bits, and one more for each doubling."""
    seen = 0
    for hundredth in range(200):
        made = bench()
        made.world.values["temperature"] = 20 + hundredth / 100
        made.send(0xF4, oversampling << 5 | 0x05)
        made.clock.sleep(0.1)
        seen |= temperature(made)
    assert seen & free == 0
    assert seen & (free + 1)


def test_more_oversampling_takes_more_time() -> None:
    """Section 9.1: 1 ms, 2 ms for each sample, 0.5 ms for pressure and for humidity."""
    made = bench()
    made.send(0xF2, 0x05)
    made.send(0xF4, 0xB5)
    made.clock.sleep(1e-3 * (1 + 3 * 2 * 16 + 2 * 0.5) - 1e-4)
    assert made.ask(0xF3, read=1) & 0x08
    made.clock.sleep(2e-4)
    assert not made.ask(0xF3, read=1) & 0x08


def test_a_bmp280_has_no_humidity_registers() -> None:
    made = bench("bmp280")
    assert made.ask(0xD0, read=1) == 0x58
    made.send(0xF2, 0x01)
    assert made.ask(0xF2, read=1) == 0
    made.send(0xF4, 0x25)
    made.clock.sleep(0.02)
    assert made.ask(0xFD) == 0


def test_the_calibration_for_humidity_lies_where_table_16_says() -> None:
    """dig_H4 and dig_H5, of 12 bits each, share the byte 0xE5."""
    made = Bench("bme280", **WEATHER)
    made.chip.trim_h = (0x4B, -2, 0xC8, 0x139, -0x7F2, -5)
    made.chip.power_on()
    assert made.ask(0xA1, read=1) == 0x4B
    assert made.ask(0xE1, read=7) == int.from_bytes(bytes((0xFE, 0xFF, 0xC8, 0x13, 0xE9, 0x80, 0xFB)), "big")
