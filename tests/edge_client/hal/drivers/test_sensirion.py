"""SHT3x, SHT4x, SCD4x: the data sheets' check sums and examples, and what the chips refuse."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_client.hal import errors
from bramble_client.hal.crc import checked_words, crc8
from bramble_client.hal.sim.chips.sensirion import check_sum, packed
from tests.edge_client.hal.bench import Bench

EXAMPLES = [  # SHT3x-DIS table 20; SCD4x sections 3.7.1, 3.7.2 and 3.9.2
    (0xBEEF, 0x92),
    (0x01E0, 0xB4),
    (0x7FCE, 0x7B),
    (0x0001, 0xB0),
    (0xF896, 0x31),
    (0x9F07, 0xC2),
    (0x3BBE, 0x89),
]


@pytest.mark.parametrize(("word", "crc"), EXAMPLES)
def test_check_sums_are_the_data_sheets(word: int, crc: int) -> None:
    assert crc8(word.to_bytes(2, "big")) == crc, "the driver's"
    assert check_sum(word) == crc, "the chip's"


@given(st.integers(0, 0xFFFF), st.integers(0, 23), st.integers(0, 23))
def test_one_or_two_flipped_bits_never_pass(word: int, one: int, two: int) -> None:
    data = int.from_bytes(packed(word), "big")
    for flips in {1 << one, 1 << one | 1 << two}:
        with pytest.raises(errors.ChecksumError, match="do not match their check sum"):
            checked_words((data ^ flips).to_bytes(3, "big"), "the chip")


def test_scd4x_reads_the_data_sheets_example() -> None:
    """Section 3.5.2: 01F4h, 6667h, 5EB9h are 500 ppm, 25 °C and 37 %."""
    bench = Bench("scd4x", carbon_dioxide=0.0, temperature=0.0, humidity=0.0)
    bench.driver.setup()
    bench.chip.frozen = True
    bench.chip._raw = (0x01F4, 0x6667, 0x5EB9)
    assert bench.read() == pytest.approx({"carbon_dioxide": 500.0, "temperature": 25.0, "humidity": 37.0}, abs=0.005)


@pytest.mark.parametrize(
    ("raw", "celsius", "percent"), [((1, 0), -44.9973, 0.0), ((65534, 65535), 129.9973, 100.0), ((26214, 32768), 25.0, 50.0)]
)
def test_sht3x_converts_as_section_4_13_says(raw: tuple[int, int], celsius: float, percent: float) -> None:
    bench = Bench("sht3x", temperature=0.0, humidity=0.0)
    bench.driver.setup()
    bench.chip.frozen = True
    bench.chip._raw = raw
    assert bench.read() == pytest.approx({"temperature": celsius, "humidity": percent}, abs=0.002)


@pytest.mark.parametrize(
    ("raw", "celsius", "percent"), [((1, 1), -44.9973, 0.0), ((65534, 65534), 129.9973, 100.0), ((26214, 29360), 25.0, 50.0)]
)
def test_sht4x_converts_and_crops_as_section_4_6_says(raw: tuple[int, int], celsius: float, percent: float) -> None:
    bench = Bench("sht4x", temperature=0.0, humidity=0.0)
    bench.driver.setup()
    bench.chip.frozen = True
    bench.chip._raw = raw
    assert bench.read() == pytest.approx({"temperature": celsius, "humidity": percent}, abs=0.002)


@pytest.mark.parametrize(
    ("name", "raw", "without"),
    [
        *[("sht3x", (code, code), ["temperature"]) for code in (0, 65535)],
        *[("sht4x", (code, code), ["temperature", "humidity"]) for code in (0, 65535)],
        *[("scd4x", (500, code, code), ["temperature"]) for code in (0, 65535)],
        *[("scd4x", (code, 26214, 32768), ["carbon_dioxide"]) for code in (40_000, 65535)],
    ],
)
def test_a_word_at_its_end_is_no_reading_but_where_air_ends_there_too(name: str, raw: tuple[int, ...], without: list[str]) -> None:
    bench = Bench(name, carbon_dioxide=500.0, temperature=20.0, humidity=50.0)
    bench.driver.setup()
    bench.chip.frozen = True
    bench.chip._raw = raw
    assert [key for key, value in bench.read().items() if isnan(value)] == without


@pytest.mark.parametrize("name", ["sht3x", "sht4x"])
def test_a_measurement_is_read_once_and_not_before_it_is_there(name: str) -> None:
    bench = Bench(name, temperature=20.0, humidity=50.0)
    order = (0x24, 0x00) if name == "sht3x" else (0xFD,)
    bench.chip.write(bytes(order))
    with pytest.raises(OSError, match="Remote I/O"):
        bench.chip.read(6)
    bench.clock.sleep(0.02)
    assert len(bench.chip.read(6)) == 6
    with pytest.raises(OSError, match="Remote I/O"):
        bench.chip.read(6)


def test_sht3x_status_tells_of_a_reset_until_it_is_cleared() -> None:
    bench = Bench("sht3x", temperature=20.0, humidity=50.0)
    assert bench.ask(0xF3, 0x2D, read=3) >> 8 == 0x8010
    bench.send(0x30, 0x41)
    assert bench.ask(0xF3, 0x2D, read=3) >> 8 == 0
    bench.send(0x30, 0x6D)
    assert bench.ask(0xF3, 0x2D, read=3) >> 8 == 0x2000, "the heater is on"
    with pytest.raises(errors.NoAcknowledge):
        bench.send(0x12, 0x34)
    assert bench.ask(0xF3, 0x2D, read=3) >> 8 & 2, "the last command was not processed"


def test_siblings_at_one_address_are_told_apart() -> None:
    for name, other in (("sht3x", "sht4x"), ("sht4x", "sht3x")):
        bench = Bench(name, temperature=20.0, humidity=50.0)
        stranger = Bench(other, temperature=20.0, humidity=50.0)
        assert bench.driver.identify(bench.bus, 0x44)
        with pytest.raises(errors.NoAcknowledge):
            bench.driver.identify(stranger.bus, 0x44)


def test_scd4x_measures_only_when_told_and_every_five_seconds() -> None:
    bench = Bench("scd4x", carbon_dioxide=700.0, temperature=20.0, humidity=50.0)
    bench.driver.setup()
    start = bench.clock.monotonic()
    first = bench.driver.read()
    second = bench.driver.read()
    assert 5.0 <= first.at - start <= 5.2
    assert 4.9 <= second.at - first.at <= 5.2


def test_scd4x_that_stopped_measuring_is_reported() -> None:
    bench = Bench("scd4x", carbon_dioxide=700.0, temperature=20.0, humidity=50.0)
    bench.driver.setup()
    bench.read()
    bench.chip.power_on()
    with pytest.raises(errors.NotReady, match="has not measured for 6 s; check its power supply"):
        bench.read()


def test_scd4x_refuses_while_measuring_what_the_data_sheet_says() -> None:
    bench = Bench("scd4x", carbon_dioxide=700.0, temperature=20.0, humidity=50.0)
    bench.send(0x21, 0xB1)
    with pytest.raises(errors.NoAcknowledge):
        bench.send(0x36, 0x82)
    bench.send(0x3F, 0x86)
    bench.clock.sleep(0.5)
    bench.send(0x36, 0x82)
    bench.clock.sleep(0.001)
    assert bench.bus.transfer(0x62, b"", 9) == packed(0xF896, 0x9F07, 0x3BBE)


def test_scd4x_takes_a_setting_only_with_its_check_sum() -> None:
    bench = Bench("scd4x", carbon_dioxide=700.0, temperature=20.0, humidity=50.0)
    with pytest.raises(errors.NoAcknowledge):
        bench.send(0x24, 0x27, 0x07, 0x9E, 0x00)
    bench.send(0x24, 0x27, *packed(1950))
    bench.clock.sleep(0.001)
    bench.send(0x23, 0x22)
    bench.clock.sleep(0.001)
    assert bench.bus.transfer(0x62, b"", 3) == packed(1950)


def test_scd4x_is_recognised_while_it_measures() -> None:
    bench = Bench("scd4x", carbon_dioxide=700.0, temperature=20.0, humidity=50.0)
    bench.driver.setup()
    assert bench.driver.identify(bench.bus, 0x62)
