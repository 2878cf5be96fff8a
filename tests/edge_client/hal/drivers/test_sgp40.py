"""SGP40: its check sums, its heater, and what the driver throws away."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from bramble_client.hal import errors
from bramble_client.hal.crc import crc8
from bramble_client.hal.sim.chips.base import nack
from bramble_client.hal.sim.chips.sensirion import check_sum, packed
from tests.edge_client.hal.bench import WORLD, Bench, stopped

MEASURE = (0x26, 0x0F, 0x80, 0x00, 0xA2, 0x66, 0x66, 0x93)


@pytest.mark.parametrize(("word", "crc"), [(0x8000, 0xA2), (0x6666, 0x93), (0x0000, 0x81), (0xFFFF, 0xAC)])
def test_check_sums_are_those_of_table_10(word: int, crc: int) -> None:
    assert crc8(word.to_bytes(2, "big")) == check_sum(word) == crc


@pytest.mark.parametrize("ticks", [1, 20_000, 30_123, 65_534])
def test_the_word_is_the_value(ticks: int) -> None:
    bench = stopped("sgp40")
    bench.chip._raw = ticks
    assert bench.read() == {"voc_raw": ticks}


@pytest.mark.parametrize("ticks", [0, 65_535])
def test_an_end_of_the_range_is_no_reading(ticks: int) -> None:
    bench = stopped("sgp40")
    bench.chip._raw = ticks
    assert math.isnan(bench.read()["voc_raw"])


def test_the_first_value_with_a_cold_heater_is_thrown_away() -> None:
    """Section 3.1; the chip's own commands show that it is wrong."""
    bench = Bench("sgp40", **WORLD)
    bench.send(*MEASURE)
    bench.clock.sleep(0.03)
    assert bench.bus.transfer(0x59, b"", 3) == packed(25_000)
    bench.send(0x36, 0x15)
    bench.clock.sleep(0.001)
    bench.driver.setup()
    assert bench.read() == {"voc_raw": 30_000}


@pytest.mark.parametrize("when", [*((first,) for first in range(6)), *combinations(range(6), 2)])
def test_power_that_fails_once_or_twice_on_the_way_leaves_no_cold_value(when: tuple[int, ...]) -> None:
    bench = Bench("sgp40", **WORLD)
    bench.driver.setup()
    sleep, count = bench.clock.sleep, [0]

    def weak(seconds: float) -> None:
        if count[0] in when:
            bench.chip.power_on()
        count[0] += 1
        sleep(seconds)

    bench.clock.sleep = weak  # type: ignore[method-assign]
    try:
        values = bench.driver.read().values
    except errors.NoAcknowledge:
        return
    assert values == {"voc_raw": 30_000}


def test_values_of_which_no_three_agree_are_none() -> None:
    bench = stopped("sgp40")
    original = bench.chip.finish

    def finish() -> None:
        bench.chip._raw += 200
        original()

    bench.chip.finish = finish
    with pytest.raises(errors.UnsteadyRead, match="no three measurements agree"):
        bench.read()


def test_a_chip_that_fails_its_own_test_is_refused() -> None:
    bench = Bench("sgp40", **WORLD)
    original = bench.chip.command

    def command(code: int, parameters: bytes) -> None:
        original(code, parameters)
        if code == 0x280E:
            bench.chip.answer = packed(0x4B00)

    bench.chip.command = command
    with pytest.raises(errors.SensorError, match="fails its own test with 0x4b00; replace it"):
        bench.driver.setup()


def test_a_chip_that_does_not_take_its_order_is_perhaps_an_sgp41() -> None:
    bench = Bench("sgp40", **WORLD)
    original = bench.chip.command

    def command(code: int, parameters: bytes) -> None:
        if code == 0x260F:
            raise nack()
        original(code, parameters)

    bench.chip.command = command
    with pytest.raises(errors.WrongChip, match="is it an SGP41"):
        bench.driver.setup()


@pytest.mark.parametrize("order", [MEASURE[:-1], (*MEASURE[:-1], 0x94), (*MEASURE, 0x00), MEASURE[:2], (0x36, 0x82, 0x00)])
def test_the_chip_takes_parameters_with_their_check_sums_alone(order: tuple[int, ...]) -> None:
    bench = Bench("sgp40", **WORLD)
    with pytest.raises(OSError, match="Remote I/O"):
        bench.chip.write(bytes(order))


def test_the_chip_does_not_answer_while_it_measures() -> None:
    bench = Bench("sgp40", **WORLD)
    bench.send(*MEASURE)
    with pytest.raises(OSError, match="Remote I/O"):
        bench.chip.read(3)
    bench.clock.sleep(0.03)
    assert len(bench.chip.read(3)) == 3
    with pytest.raises(OSError, match="Remote I/O"):
        bench.chip.read(3)
