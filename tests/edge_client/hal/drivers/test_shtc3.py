"""SHTC3: its product number, its sleep, and its words, both ways."""

from __future__ import annotations

import math

import pytest

from bramble_client.hal import errors
from bramble_client.hal.sim.bus import carry
from bramble_client.hal.sim.chips.base import Chip
from bramble_client.hal.sim.chips.sensirion import packed
from tests.edge_client.hal.bench import WORLD, Bench, stopped

WORDS = [  # section 5.11: -45 + 175 x / 2^16 and 100 x / 2^16
    ((0x6666, 0x8000), 25.0, 50.0),
    ((0x4000, 0x4000), -1.25, 25.0),
    ((0xBE77, 0xE666), 85.2, 90.0),
    ((0x0751, 0x0000), -40.0, 0.0),
]


@pytest.mark.parametrize(("raw", "celsius", "percent"), WORDS)
def test_the_driver_reads_what_the_formulas_say(raw: tuple[int, int], celsius: float, percent: float) -> None:
    bench = stopped("shtc3")
    bench.chip._raw = raw
    assert bench.read() == pytest.approx({"temperature": celsius, "humidity": percent}, abs=0.002)


@pytest.mark.parametrize(("raw", "celsius", "percent"), WORDS)
def test_the_chip_gives_them_in_either_order(raw: tuple[int, int], celsius: float, percent: float) -> None:
    for command, words in ((0x7866, raw), (0x609C, raw), (0x58E0, raw[::-1]), (0x401A, raw[::-1])):
        bench = Bench("shtc3", temperature=celsius, humidity=percent)
        bench.send(*command.to_bytes(2, "big"))
        bench.clock.sleep(0.0121)
        data = bench.bus.transfer(0x70, b"", 6)
        assert [int.from_bytes(data[i : i + 2], "big") for i in (0, 3)] == pytest.approx(list(words), abs=6)


@pytest.mark.parametrize("word", [0x0000, 0xFFFF])
def test_a_temperature_at_the_end_of_its_word_is_no_reading_and_full_humidity_is_fog(word: int) -> None:
    bench = stopped("shtc3")
    bench.chip._raw = (word, 0xFFFF)
    values = bench.read()
    assert math.isnan(values["temperature"])
    assert values["humidity"] == pytest.approx(100.0, abs=0.002)


def test_asleep_the_chip_hears_nothing_but_its_waking() -> None:
    bench = Bench("shtc3", **WORLD)
    bench.send(0xB0, 0x98)
    for command in ((0x78, 0x66), (0xEF, 0xC8), (0x80, 0x5D)):
        with pytest.raises(errors.NoAcknowledge):
            bench.send(*command)
    bench.send(0x35, 0x17)
    with pytest.raises(OSError, match="Remote I/O"):
        bench.chip.write(b"\xef\xc8")
    bench.clock.sleep(0.00024)
    assert bench.bus.transfer(0x70, b"\xef\xc8", 3) == packed(0x0887)


def test_a_chip_that_another_program_sent_to_sleep_is_found_and_woken() -> None:
    bench = Bench("shtc3", **WORLD)
    bench.send(0xB0, 0x98)
    assert bench.bus.scan() == [0x70]
    assert bench.driver.identify(bench.bus, 0x70)
    bench.send(0xB0, 0x98)
    bench.driver.setup()
    assert bench.read() == pytest.approx({"temperature": 25.0, "humidity": 50.0}, abs=0.01)


def test_a_chip_with_a_measurement_that_nobody_fetched_is_found() -> None:
    bench = Bench("shtc3", **WORLD)
    bench.send(0x78, 0x66)
    bench.clock.sleep(1)
    assert bench.driver.identify(bench.bus, 0x70)


@pytest.mark.parametrize(
    ("kind", "fits"), [(0x0807, True), (0x0887, True), (0xF7C7, False), (0x0827, False), (0x0007, False), (0x0817, False)]
)
def test_the_product_is_told_by_its_bits(kind: int, fits: bool) -> None:
    """Table 15: xxxx'1xxx'xx00'0111b."""
    bench = Bench("shtc3", **WORLD)
    original = bench.chip.command

    def command(code: int, parameters: bytes) -> None:
        original(code, parameters)
        if code == 0xEFC8:
            bench.chip.answer = packed(kind)

    bench.chip.command = command
    assert bench.driver.identify(bench.bus, 0x70) is fits
    if fits:
        bench.driver.setup()
        return
    with pytest.raises(errors.WrongChip, match="an SHTC1 or SHTW2" if kind & 0x083F == 0x0007 else "another chip"):
        bench.driver.setup()


class Multiplexer(Chip):
    """A TCA9548A: one register, whatever is written goes there, and with it the switches."""

    name = "multiplexer"

    def power_on(self) -> None:
        self.switches = 0

    def write(self, data: bytes) -> None:
        if data:
            self.switches = data[-1]

    def read(self, length: int) -> bytes:
        return bytes((self.switches,)) * length


def test_a_multiplexer_at_the_same_address_keeps_its_switches() -> None:
    bench = Bench("shtc3", **WORLD)
    bench.bus.detach(0x70)
    bench.bus.attach(0x70, mux := Multiplexer(bench.scene, bench.clock))
    carry(mux, b"\x04", 0)
    assert not bench.driver.identify(bench.bus, 0x70)
    assert mux.switches == 0x04


def test_a_measurement_without_power_in_between_is_not_acknowledged() -> None:
    bench = Bench("shtc3", **WORLD)
    bench.driver.setup()
    sleep = bench.clock.sleep

    def weak(seconds: float) -> None:
        sleep(seconds)
        if seconds > 0.01:
            bench.chip.power_on()

    bench.clock.sleep = weak  # type: ignore[method-assign]
    with pytest.raises(errors.NoAcknowledge):
        bench.driver.read()
