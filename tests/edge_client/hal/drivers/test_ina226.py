"""INA226: the data sheet's worked example, both ways, and what the driver refuses to believe."""

from __future__ import annotations

import math

import pytest

from bramble_client.hal import errors
from tests.edge_client.hal.bench import WORLD, Bench, stopped

EXAMPLE = {0x01: 0x1F40, 0x02: 0x2570, 0x03: 0x12B8, 0x04: 0x2710}
"""SBOS547B, the worked example: 10 A through 2 mOhm at 11.98 V, calibration 0A00h."""


def test_the_driver_reads_the_worked_example() -> None:
    bench = stopped("ina226", shunt_ohms=0.002)
    bench.chip.words.update(EXAMPLE)
    assert bench.read() == pytest.approx({"voltage": 11.98, "current": 10.0, "power": 119.8})


def test_the_chip_computes_the_worked_example() -> None:
    bench = Bench("ina226", voltage=11.98, current=0.2)  # through the chip model's 0.1 Ohm the same 20 mV
    bench.send(0x05, 0x0A, 0x00)
    bench.clock.sleep(0.003)
    assert {register: bench.ask(register) for register in EXAMPLE} == EXAMPLE


def test_reversed_current_is_negative() -> None:
    bench = Bench("ina226", voltage=5.0, current=-0.25)
    bench.driver.setup()
    assert bench.read() == pytest.approx({"voltage": 5.0, "current": -0.25, "power": -1.25})


@pytest.mark.parametrize(
    ("register", "word", "lost"),
    [
        (0x01, 0x7FFF, {"current", "power"}),
        (0x01, 0x8000, {"current", "power"}),
        (0x02, 0x7FFF, {"voltage", "power"}),
        (0x01, 0x7FFE, set()),
        (0x01, 0x8001, set()),
        (0x02, 0x7FFE, set()),
        (0x01, 0x0000, set()),
        (0x02, 0x0000, set()),
    ],
)
def test_a_code_at_the_end_of_its_register_is_no_reading_of_what_follows_from_it(register: int, word: int, lost: set[str]) -> None:
    bench = stopped("ina226")
    bench.chip.words[register] = word
    assert {key for key, value in bench.read().items() if math.isnan(value)} == lost


def test_more_than_the_shunt_can_show_is_no_reading() -> None:
    """81.92 mV are 0.8192 A through 0.1 Ohm: a usual board in a circuit with more."""
    bench = Bench("ina226", voltage=5.0, current=1.0)
    bench.driver.setup()
    values = bench.read()
    assert values["voltage"] == pytest.approx(5.0)
    assert math.isnan(values["current"])


@pytest.mark.parametrize(
    ("register", "word", "sentence"),
    [
        (0xFF, 0x2270, r"has id 0x227, not 0x226: that is the INA260, which no driver here reads"),
        (0xFF, 0x3220, r"that is the INA3221"),
        (0xFF, 0xFFFF, r"has id 0xfff, not 0x226; INA219 may sit at the same address: run"),
        (0xFE, 0xFFFF, r"maker 0xffff, not 0x5449"),
    ],
)
def test_a_relative_is_refused_by_name(register: int, word: int, sentence: str) -> None:
    bench = Bench("ina226", **WORLD)
    bench.chip.words[register] = word
    assert not bench.driver.identify(bench.bus, 0x40)
    with pytest.raises(errors.WrongChip, match=sentence):
        bench.driver.setup()


def test_power_that_was_away_is_noticed_by_the_settings() -> None:
    bench = stopped("ina226")
    bench.chip.frozen = False
    transfer = bench.bus.transfer

    def weak(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        if write == b"\x01":
            bench.chip.power_on()
        return transfer(address, write, read, once)

    bench.bus.transfer = weak  # type: ignore[method-assign]
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.read()


def test_a_conversion_that_does_not_end_is_not_ready() -> None:
    bench = stopped("ina226")
    bench.chip._period = lambda: 1.0
    with pytest.raises(errors.NotReady, match=r"has not measured after 9\.7 ms"):
        bench.read()


def test_the_ready_flag_falls_when_it_is_read_or_a_conversion_begins() -> None:
    """Section 7.1.7: CVRF."""
    bench = Bench("ina226", **WORLD)
    bench.clock.sleep(0.01)
    assert bench.ask(0x06) & 0x0008
    assert not bench.ask(0x06) & 0x0008
    bench.clock.sleep(0.01)
    bench.send(0x00, 0x41, 0x20)
    assert bench.ask(0x06) & 0x0008, "power-down clears nothing"
    bench.send(0x00, 0x41, 0x23)
    assert not bench.ask(0x06) & 0x0008


@pytest.mark.parametrize(("mode", "shunt", "bus"), [(1, 0x0FA0, 0), (2, 0, 0x0C80), (3, 0x0FA0, 0x0C80), (5, 0x0FA0, 0), (6, 0, 0x0C80)])
def test_a_mode_measures_what_it_is_for(mode: int, shunt: int, bus: int) -> None:
    bench = Bench("ina226", **WORLD)
    bench.send(0x00, 0x41, 0x20 | mode)
    bench.clock.sleep(0.003)
    assert (bench.ask(0x01), bench.ask(0x02)) == (shunt, bus)


def test_the_chips_products_saturate_and_say_so() -> None:
    bench = Bench("ina226", voltage=36.0, current=0.8)
    bench.send(0x05, 0x7F, 0xFF)
    bench.clock.sleep(0.003)
    assert bench.ask(0x04) == 0x7FFF
    assert bench.ask(0x06) & 0x0004, "OVF"
