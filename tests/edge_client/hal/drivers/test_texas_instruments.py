"""TMP117, TMP102 and kin, ADS1115, INA219: the tables of their data sheets, both ways, and their rules."""

from __future__ import annotations

import math

import pytest

from bramble_client.hal import errors
from tests.edge_client.hal.bench import Bench

TMP117_TABLE = [  # SNOSD82D, table 7-1
    (-25.0, 0xF380),
    (-0.1250, 0xFFF0),
    (-0.0078125, 0xFFFF),
    (0.0, 0x0000),
    (0.0078125, 0x0001),
    (0.1250, 0x0010),
    (1.0, 0x0080),
    (25.0, 0x0C80),
    (100.0, 0x3200),
]
TMP102_TABLE = [  # SBOS397, "12-bit temperature data format"; TMP105 has the same
    (127.875, 0x7FE),
    (100.0, 0x640),
    (80.0, 0x500),
    (75.0, 0x4B0),
    (50.0, 0x320),
    (25.0, 0x190),
    (0.25, 0x004),
    (0.0, 0x000),
    (-0.25, 0xFFC),
    (-25.0, 0xE70),
    (-55.0, 0xC90),
]
LM75_TABLE = [(125.0, 0x0FA), (25.0, 0x032), (0.5, 0x001), (0.0, 0x000), (-0.5, 0x1FF), (-25.0, 0x1CE), (-55.0, 0x192)]  # section 1.3


@pytest.mark.parametrize(("celsius", "word"), TMP117_TABLE)
def test_tmp117_reads_and_shows_the_data_sheets_table(celsius: float, word: int) -> None:
    bench = Bench("tmp117", temperature=celsius)
    bench.driver.setup()
    assert bench.read() == {"temperature": celsius}
    assert bench.ask(0x00) == word


@pytest.mark.parametrize(("name", "shift", "table"), [("tmp102", 4, TMP102_TABLE), ("tmp105", 4, TMP102_TABLE), ("lm75", 7, LM75_TABLE)])
def test_tmp102_and_kin_read_and_show_their_tables(name: str, shift: int, table: list[tuple[float, int]]) -> None:
    for celsius, code in table:
        bench = Bench(name, temperature=celsius)
        bench.driver.setup()
        bench.clock.sleep(1)
        assert bench.read() == {"temperature": celsius}
        assert bench.ask(0x00) == code << shift & 0xFFFF


def test_tmp102_keeps_what_can_only_be_read() -> None:
    bench = Bench("tmp102", temperature=20.0)
    assert bench.ask(0x01) == 0x60A0, "power-on value"
    bench.send(0x01, 0x9F, 0xDF)
    assert bench.ask(0x01) & 0x600F == 0x6000
    bench.send(0x00, 0x12, 0x34)
    assert bench.ask(0x00) != 0x1234


def test_tmp102_says_when_a_conversion_is_ready() -> None:
    bench = Bench("tmp102", temperature=20.0)
    bench.send(0x01, 0x61, 0xA0)
    bench.send(0x01, 0xE1, 0xA0)
    assert not bench.ask(0x01) & 0x8000
    bench.clock.sleep(0.027)
    assert bench.ask(0x01) & 0x8000


def test_tmp102_in_extended_mode_has_13_bits() -> None:
    bench = Bench("tmp102", temperature=150.0)
    bench.send(0x01, 0x60, 0xB0)
    bench.clock.sleep(1)
    assert bench.ask(0x00) == 0x0960 << 3 | 1


@pytest.mark.parametrize(("bits", "word"), [(0, 0x1900), (1, 0x1940), (2, 0x1940), (3, 0x1950)])
def test_tmp105_has_9_to_12_bits(bits: int, word: int) -> None:
    bench = Bench("tmp105", temperature=25.3125)
    bench.send(0x01, bits << 5)
    bench.clock.sleep(1)
    assert bench.ask(0x00) == word + (0x80 if bits == 0 else 0)


def test_lm75_shut_down_stands_still() -> None:
    bench = Bench("lm75", temperature=20.0)
    bench.clock.sleep(1)
    assert bench.ask(0x00) == 0x1400
    bench.send(0x01, 0x01)
    bench.world.values["temperature"] = 30.0
    bench.clock.sleep(1)
    assert bench.ask(0x00) == 0x1400


def test_lm75_without_power_for_a_moment_is_noticed() -> None:
    bench = Bench("lm75", temperature=20.0)
    bench.driver.setup()
    bench.chip.power_on()
    with pytest.raises(errors.SettingsLost, match="check its power supply"):
        bench.read()


def test_a_conversion_that_ends_between_two_reads_is_no_damage() -> None:
    bench = Bench("lm75", temperature=20.0)
    bench.driver.setup()
    original, reads = bench.bus.transfer, []

    def transfer(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        reads.append(write)
        if len(reads) == 2:
            bench.world.values["temperature"] = 21.0
            bench.clock.sleep(0.2)
        return original(address, write, read)

    bench.bus.transfer = transfer  # type: ignore[method-assign]
    assert bench.read() == {"temperature": 21.0}


def test_tmp117_power_on_values_and_write_rules() -> None:
    bench = Bench("tmp117", temperature=20.0)
    assert (bench.ask(0x00), bench.ask(0x01), bench.ask(0x02), bench.ask(0x0F)) == (0x8000, 0x0220, 0x6000, 0x0117)
    bench.send(0x0F, 0xAB, 0xCD)
    bench.send(0x00, 0xAB, 0xCD)
    assert (bench.ask(0x00), bench.ask(0x0F)) == (0x8000, 0x0117)
    bench.clock.sleep(1.1)
    assert bench.ask(0x01) & 0x2000, "it measures by itself after power-on"
    assert not bench.ask(0x01) & 0x2000, "reading the configuration clears the flag"
    assert bench.ask(0x00) == 0x0A00


def test_tmp117_averages_take_their_time() -> None:
    bench = Bench("tmp117", temperature=20.0)
    bench.send(0x01, 0x0C, 0x60)  # one shot, 64 conversions
    bench.clock.sleep(0.9)
    assert not bench.ask(0x01) & 0x2000
    bench.clock.sleep(0.2)
    assert bench.ask(0x01) & 0x2C00 == 0x2400, "ready, and shut down"


def test_tmp117_that_was_never_told_to_measure_has_nothing_new() -> None:
    bench = Bench("tmp117", temperature=20.0)
    bench.driver.setup()
    bench.read()
    bench.chip.writable = {}
    with pytest.raises(errors.NotReady, match="has not measured after 140 ms"):
        bench.read()


ADS1115_TABLE = [  # SBAS444D, section 9.5.4, "input signal versus ideal output code", at the driver's 4.096 V
    (0x4000, 2.048),
    (0x0001, 4.096 / 32768),
    (0x0000, 0.0),
    (0xFFFF, -4.096 / 32768),
    (0xC000, -2.048),
]


@pytest.mark.parametrize(("code", "volts"), ADS1115_TABLE)
def test_ads1115_reads_the_data_sheets_codes(code: int, volts: float) -> None:
    bench = Bench("ads1115", voltage=1.0)
    bench.chip.frozen = True
    bench.chip.words[0] = code
    assert bench.read() == pytest.approx(dict.fromkeys(bench.driver.channels, volts))


@pytest.mark.parametrize("code", [0x7FFF, 0x8000])
def test_ads1115_beyond_its_range_is_no_number(code: int) -> None:
    bench = Bench("ads1115", voltage=1.0)
    bench.chip.frozen = True
    bench.chip.words[0] = code
    assert all(math.isnan(value) for value in bench.read().values())


def test_ads1115_measures_each_input_for_itself() -> None:
    assert Bench("ads1115", voltage=12.0).read() == pytest.approx(
        {"a0.voltage": 3.0, "a1.voltage": 2.4, "a2.voltage": 1.2, "a3.voltage": 0.6}, abs=1e-4
    )


def test_ads1115_power_on_values_and_modes() -> None:
    bench = Bench("ads1115", voltage=4.0)
    assert (bench.ask(0x00), bench.ask(0x01), bench.ask(0x02), bench.ask(0x03)) == (0, 0x8583, 0x8000, 0x7FFF)
    bench.send(0x01, 0xC4, 0x83)  # AIN0 against ground, 2.048 V, continuous
    bench.clock.sleep(0.01)
    assert bench.ask(0x00) == 0x3E80, "1 V of 2.048 V"
    assert not bench.ask(0x01) & 0x8000, "always converting"
    bench.world.values["voltage"] = 2.0
    bench.clock.sleep(0.01)
    assert bench.ask(0x00) == 0x1F40
    bench.send(0x01, 0x85, 0x83)  # AIN0 against AIN1, once
    bench.clock.sleep(0.01)
    assert bench.ask(0x00) == round(2.0 * (0.25 - 0.2) / 2.048 * 32768)


def test_ads1115_stuck_in_a_conversion_is_reported() -> None:
    bench = Bench("ads1115", voltage=1.0)
    bench.chip._period = lambda: 1.0
    with pytest.raises(errors.NotReady, match=r"still measuring after 8\.6 ms"):
        bench.read()


def test_ina219_worked_example() -> None:
    """SBOS448G, section 8.5, table 3 of the earlier edition: 10 A through 2 mOhm, 11.98 V, calibration 5000h."""
    bench = Bench("ina219", None, {"shunt_ohms": 0.002, "current_step": 1e-3}, voltage=11.98, current=0.2)
    # 0.2 A through the chip model's 0.1 Ohm are the same 20 mV as 10 A through the example's 2 mOhm
    bench.driver.setup()
    assert bench.ask(0x05) == 0x5000
    assert bench.read() == pytest.approx({"voltage": 11.98, "current": 10.0, "power": 119.8})
    assert [bench.ask(register) for register in (0x01, 0x03, 0x04)] == [0x07D0, 0x1766, 0x2710]
    assert bench.ask(0x02) & ~3 == 0x5D98
    assert bench.ask(0x00) == 0x399B


def test_ina219_reversed_current_is_negative() -> None:
    bench = Bench("ina219", voltage=5.0, current=-0.25)
    bench.driver.setup()
    assert bench.read() == pytest.approx({"voltage": 5.0, "current": -0.25, "power": -1.25})


def test_ina219_power_on_values_and_write_rules() -> None:
    bench = Bench("ina219", voltage=5.0, current=0.1)
    assert bench.ask(0x00) == 0x399F
    bench.clock.sleep(0.01)
    assert bench.ask(0x04) == bench.ask(0x03) == 0, "without a calibration there is no current"
    bench.send(0x05, 0x10, 0x01)
    assert bench.ask(0x05) == 0x1000, "the lowest bit of the calibration reads 0"
    bench.send(0x02, 0xFF, 0xFF)
    assert bench.ask(0x02) & ~3 == 1250 << 3
    bench.ask(0x03)
    assert bench.chip.words[2] & 2 == 0, "reading the power clears the ready flag"


def test_ina219_overflow_is_no_number() -> None:
    bench = Bench("ina219", None, {"shunt_ohms": 0.1, "current_step": 6.3e-6}, voltage=5.0, current=3.2)
    bench.driver.setup()
    assert all(math.isnan(value) for value in bench.read().values())


def test_ina219_that_contradicts_itself_is_not_believed() -> None:
    bench = Bench("ina219", voltage=5.0, current=0.5)
    bench.driver.setup()
    bench.read()
    bench.chip.frozen = True
    bench.chip.words[4] ^= 0x0100
    with pytest.raises(errors.UnsteadyRead, match="contradict each other"):
        bench.read()
