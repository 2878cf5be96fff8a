"""AHT20: bytes of a real chip, its formulas both ways, and what the driver refuses to believe."""

from __future__ import annotations

import math

import pytest

from bramble_client.hal import errors
from bramble_client.hal.crc import crc8
from bramble_client.hal.sim.chips.base import Chip
from bramble_client.hal.sim.chips.sensirion import check_sum_of
from tests.edge_client.hal.bench import WORLD, Bench, stopped

REAL = bytes.fromhex("1c3b5e8688b2d2")
"""What a chip on an Orange Pi sent, as its owner published it: 23.191071 % and 31.674576 °C."""
WORDS = [  # sections 6.1 and 6.2: 100 x / 2^20 and 200 x / 2^20 - 50
    (0x80000, 0x60000, 50.0, 25.0),
    (0x00000, 0x40000, 0.0, 0.0),
    (0xFFFFF, 0x0CCCD, 100.0, -40.0),
    (0x40000, 0xACCCD, 25.0, 85.0),
]


def test_check_sum_and_values_of_a_real_chip() -> None:
    assert crc8(REAL[:-1]) == check_sum_of(REAL[:-1]) == REAL[-1]
    bench = stopped("aht20")
    block = int.from_bytes(REAL, "big")
    bench.chip._raw = (block >> 28 & 0xFFFFF, block >> 8 & 0xFFFFF)
    bench.chip.status = REAL[0]
    assert bench.read() == pytest.approx({"temperature": 31.674576, "humidity": 23.191071}, abs=1e-5)
    assert bench.bus.transfer(0x38, b"", 7) == REAL


@pytest.mark.parametrize(("humidity", "temperature", "percent", "celsius"), WORDS)
def test_the_driver_reads_and_the_chip_shows_what_the_formulas_say(humidity: int, temperature: int, percent: float, celsius: float) -> None:
    bench = stopped("aht20")
    bench.chip._raw = (humidity, temperature)
    assert bench.read() == pytest.approx({"temperature": celsius, "humidity": percent}, abs=2e-4)
    bench = Bench("aht20", temperature=celsius, humidity=percent)
    bench.send(0xAC, 0x33, 0x00)
    bench.clock.sleep(0.08)
    assert bench.bus.transfer(0x38, b"", 6)[1:] == (humidity << 20 | temperature).to_bytes(5, "big")


@pytest.mark.parametrize("word", [0x00000, 0xFFFFF])
def test_a_temperature_at_the_end_of_its_word_is_no_reading(word: int) -> None:
    bench = stopped("aht20")
    bench.chip._raw = (0x80000, word)
    values = bench.read()
    assert math.isnan(values["temperature"])
    assert values["humidity"] == 50.0


@pytest.mark.parametrize(("raw", "believed"), [((0x80000, 0x80000), False), ((0x80000, 0x60000), True), ((0x60000, 0x80000), True)])
def test_only_both_words_at_their_power_on_values_mean_that_nothing_was_measured(raw: tuple[int, int], believed: bool) -> None:
    bench = stopped("aht20")
    bench.chip._raw = raw
    if believed:
        assert bench.read()
        return
    with pytest.raises(errors.SettingsLost, match="power-on values instead of a measurement"):
        bench.read()


def test_an_order_that_was_damaged_is_not_answered_with_the_last_measurement() -> None:
    bench = stopped("aht20")
    transfer = bench.bus.transfer

    def damaged(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        return transfer(address, b"\xac\x33\x01" if write == b"\xac\x33\x00" else write, read, once)

    bench.bus.transfer = damaged  # type: ignore[method-assign]
    with pytest.raises(errors.NotReady, match="did not begin to measure"):
        bench.read()


def test_a_chip_that_is_still_busy_is_not_ready() -> None:
    bench = stopped("aht20")
    sleep = bench.clock.sleep
    bench.clock.sleep = lambda seconds: sleep(0.01)  # type: ignore[method-assign]
    with pytest.raises(errors.NotReady, match="still measuring after 80 ms"):
        bench.read()


def test_a_chip_without_its_calibration_is_told_to_load_it() -> None:
    bench = Bench("aht20", **WORLD)
    power_on = bench.chip.power_on

    def bare() -> None:
        power_on()
        bench.chip.status &= ~0x08

    bench.chip.power_on = bare
    bench.chip.power_on()
    bench.driver.setup()
    assert bench.read() == pytest.approx({"temperature": 25.0, "humidity": 50.0}, abs=0.01)
    bench.chip.status &= ~0x08
    with pytest.raises(errors.SettingsLost):
        bench.read()


def test_a_chip_that_loads_no_calibration_is_perhaps_another() -> None:
    bench = Bench("aht20", **WORLD)
    transfer = bench.bus.transfer
    bench.bus.transfer = lambda address, write=b"", read=0, once=False: b"\x10" if read == 1 else transfer(address, write, read)  # type: ignore[method-assign]
    with pytest.raises(errors.NotReady, match="is no AHT10"):
        bench.driver.setup()


def test_it_is_known_by_its_check_sum_or_by_what_it_does() -> None:
    bench = Bench("aht20", **WORLD)
    assert bench.driver.identify(bench.bus, 0x38)
    original = bench.chip.read
    bench.chip.read = lambda length: original(length)[:6] + b"\x00" * (length - 6) if length > 6 else original(length)
    assert bench.driver.identify(bench.bus, 0x38), "it became busy when it was told to measure"
    assert not bench.driver.identify(bench.bus, 0x38), "it is busy: asked again, it will not be"


class Expander(Chip):
    """A PCF8574A: eight pins, whatever is written goes there."""

    name = "expander"

    def power_on(self) -> None:
        self.pins = 0xFF

    def write(self, data: bytes) -> None:
        if data:
            self.pins = data[-1]

    def read(self, length: int) -> bytes:
        return bytes((self.pins,)) * length


@pytest.mark.parametrize("pins", range(256))
def test_a_port_expander_at_the_same_address_keeps_its_pins(pins: int) -> None:
    bench = Bench("aht20", **WORLD)
    bench.bus.detach(0x38)
    bench.bus.attach(0x38, expander := Expander(bench.scene, bench.clock))
    expander.pins = pins
    assert not bench.driver.identify(bench.bus, 0x38)
    assert expander.pins == pins


def test_the_chip_acknowledges_while_it_works_and_hears_nothing() -> None:
    bench = Bench("aht20", **WORLD)
    bench.send(0xAC, 0x33, 0x00)
    assert bench.bus.transfer(0x38, b"", 1)[0] & 0x80
    bench.send(0xBA)
    bench.clock.sleep(0.08)
    assert bench.bus.transfer(0x38, b"", 3)[1:] == b"\x80\x00"
    assert not bench.bus.transfer(0x38, b"", 1)[0] & 0x80
