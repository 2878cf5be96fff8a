"""MCP9808: the data sheet's codes, both ways, and what the driver refuses to believe."""

from __future__ import annotations

import math

import pytest

from bramble_client.hal import Quality, errors
from bramble_client.hal.sensor import Sensor
from tests.edge_client.hal.bench import WORLD, Bench, stopped

CODES = [  # DS25095A: figure 5-5, equation 5-1 and the specified range; the three highest bits tell of limits
    (0xC194, 25.25),
    (0x0000, 0.0),
    (0xE001, 0.0625),
    (0x1FFF, -0.0625),
    (0x1D80, -40.0),
    (0x3E70, -25.0),
    (0xC7D0, 125.0),
    (0xC550, 85.0),
]


@pytest.mark.parametrize(("word", "celsius"), CODES)
def test_the_driver_reads_the_data_sheets_codes(word: int, celsius: float) -> None:
    bench = stopped("mcp9808")
    bench.chip.words[0x05] = word
    assert bench.read() == {"temperature": celsius}


@pytest.mark.parametrize(("word", "celsius"), CODES)
def test_the_chip_shows_them(word: int, celsius: float) -> None:
    bench = Bench("mcp9808", temperature=celsius)
    bench.clock.sleep(0.3)
    assert bench.ask(0x05) & 0x1FFF == word & 0x1FFF


@pytest.mark.parametrize(("celsius", "word"), [(400.0, 0x0FFF), (-400.0, 0x1000)])
def test_beyond_its_register_the_chip_saturates_and_that_is_no_reading(celsius: float, word: int) -> None:
    bench = Bench("mcp9808", temperature=celsius)
    bench.driver.setup()
    assert math.isnan(bench.read()["temperature"])
    assert bench.ask(0x05) & 0x1FFF == word


@pytest.mark.parametrize(("resolution", "word"), [(0, 0xC198), (1, 0xC194), (2, 0xC196), (3, 0xC195)])
def test_the_chip_has_four_resolutions(resolution: int, word: int) -> None:
    """Register 5-7: 0.5, 0.25, 0.125 and 0.0625 °C."""
    bench = Bench("mcp9808", temperature=25.33)
    bench.send(0x08, resolution)
    bench.clock.sleep(1)
    assert bench.ask(0x05) == word


def test_the_chip_tells_of_its_limits() -> None:
    """Section 5.1.3.1: at or above critical, above upper, below lower."""
    for celsius, flags in ((50.0, 0xC000), (32.0, 0x4000), (25.0, 0x0000), (5.0, 0x2000)):
        bench = Bench("mcp9808", temperature=celsius)
        for register, limit in ((0x02, 30), (0x03, 10), (0x04, 50)):
            bench.send(register, *(limit << 4).to_bytes(2, "big"))
        bench.clock.sleep(0.3)
        assert bench.ask(0x05) & 0xE000 == flags


def test_until_it_has_measured_the_chip_shows_zero_and_the_driver_does_not_believe_it() -> None:
    bench = Bench("mcp9808", **WORLD)
    assert bench.ask(0x05) == 0
    bench.driver.setup()
    assert bench.read() == {"temperature": 25.0}
    bench.chip.power_on()
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.read()


@pytest.mark.parametrize(("register", "word"), [(0x01, 0x0000), (0x08, 0x0002)])
def test_settings_that_are_not_what_was_written_are_lost(register: int, word: int) -> None:
    bench = stopped("mcp9808")
    bench.chip.words[register] = word
    with pytest.raises(errors.SettingsLost):
        bench.read()


def test_a_value_that_reads_differently_each_time_is_damage_and_one_that_changed_once_is_not() -> None:
    bench = stopped("mcp9808")
    transfer, words = bench.bus.transfer, [0x0190, 0x01A0, 0x01A0, 0x01A0]

    def spoilt(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        return words.pop(0).to_bytes(2, "big") if write == b"\x05" else transfer(address, write, read, once)

    bench.bus.transfer = spoilt  # type: ignore[method-assign]
    assert bench.read() == {"temperature": 26.0}
    words[:] = [0x0190, 0x01A0, 0x01B0, 0x01C0]
    with pytest.raises(errors.UnsteadyRead):
        bench.read()


@pytest.mark.parametrize("revision", [0x0400, 0x0401, 0x04FF, 0x0201])
def test_any_revision_is_one_and_so_is_an_mcp9804(revision: int) -> None:
    bench = Bench("mcp9808", **WORLD)
    bench.chip.words[0x07] = revision
    assert bench.driver.identify(bench.bus, 0x18)
    bench.driver.setup()


@pytest.mark.parametrize(
    ("maker", "device", "sentence"),
    [
        (0x0054, 0x2201, "has id 0x22, not 0x04: that is the MCP98244, which no driver here reads"),
        (0x0054, 0x0301, "has id 0x03, not 0x04; run"),
        (0x001F, 0x0400, "has maker 0x001f, not 0x0054; run `bramble sensors scan` to see what sits there"),
    ],
)
def test_a_relative_is_refused_by_name(maker: int, device: int, sentence: str) -> None:
    bench = Bench("mcp9808", **WORLD)
    bench.chip.words.update({0x06: maker, 0x07: device})
    assert not bench.driver.identify(bench.bus, 0x18)
    with pytest.raises(errors.WrongChip, match=sentence):
        bench.driver.setup()


def test_the_latest_measurement_is_returned_once() -> None:
    bench = Bench("mcp9808", **WORLD)
    bench.driver.setup()
    first = bench.driver.read().at
    assert bench.driver.read().at >= first + 0.25


@pytest.mark.parametrize(
    ("celsius", "quality"), [(110.0, Quality.GOOD), (-39.0, Quality.GOOD), (140.0, Quality.RANGE), (-50.0, Quality.RANGE)]
)
def test_the_range_is_the_chips_and_not_that_of_air(celsius: float, quality: Quality) -> None:
    (reading,) = Sensor(Bench("mcp9808", temperature=celsius).driver).read()
    assert reading.quality is quality
