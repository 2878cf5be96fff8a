"""What Sensirion and Bosch publish: words with their check sums, worked examples, and floating-point formulas beside our integer ones."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble_client.hal.crc import checked_words, crc8
from bramble_client.hal.drivers.bme280 import relative_humidity
from bramble_client.hal.drivers.bmp280 import Calibration
from bramble_client.hal.errors import ChecksumError, SettingsLost
from bramble_client.hal.sim.chips.sensirion import packed
from tests.edge_client.hal.bench import stopped
from tests.examples import examples

SENSIRION = [  # SHT3x-DIS section 4.12; SCD4x sections 3.5 to 3.10, each word with the check sum printed beside it
    (0xBEEF, 0x92),
    (0x01F4, 0x33),
    (0x6667, 0xA2),
    (0x5EB9, 0x3C),
    (0x07E6, 0x48),
    (0x0912, 0x63),
    (0x079E, 0x09),
    (0x044C, 0x42),
    (0x03DB, 0x42),
    (0x0000, 0x81),
    (0x8000, 0xA2),
]


@pytest.mark.parametrize(("word", "crc"), SENSIRION)
def test_printed_words_come_with_their_printed_check_sums(word: int, crc: int) -> None:
    data = word.to_bytes(2, "big") + bytes((crc,))
    assert checked_words(data * 2, "the chip") == [word, word]
    assert packed(word) == data
    for wrong in range(256):
        if wrong != crc:
            with pytest.raises(ChecksumError):
                checked_words(data[:2] + bytes((wrong,)), "the chip")


def test_the_check_sum_of_nothing_is_its_initial_value() -> None:
    assert crc8(b"") == 0xFF
    assert checked_words(b"", "the chip") == []


@settings(max_examples=examples(50))
@given(st.integers(1, 0xFFFE), st.integers(1, 0xFFFE))  # the ends are no readings
def test_sensirions_words_are_converted_by_their_published_formulas(t: int, rh: int) -> None:
    for name, percent in (("sht3x", 100 * rh / 65535), ("sht4x", min(max(-6 + 125 * rh / 65535, 0), 100)), ("scd4x", 100 * rh / 65535)):
        bench = stopped(name)
        bench.chip._raw = (1234, t, rh) if name == "scd4x" else (t, rh)
        expected = {"temperature": -45 + 175 * t / 65535, "humidity": percent}
        assert bench.read() == pytest.approx({"carbon_dioxide": 1234.0, **expected} if name == "scd4x" else expected)


def test_bmp280_reads_the_worked_example_out_of_its_registers() -> None:
    """Section 3.12: 519888 and 415148 with that calibration are 25.08 °C and 100653.27 Pa."""
    for name in ("bmp280", "bme280"):
        bench = stopped(name)
        bench.chip.memory[0xF7:0xFA] = (415148 << 4).to_bytes(3, "big")
        bench.chip.memory[0xFA:0xFD] = (519888 << 4).to_bytes(3, "big")
        values = bench.read()
        assert values["temperature"] == 25.08
        assert values["pressure"] == pytest.approx(1006.5327, abs=5e-4)


def double_pressure(adc: int, t_fine: float, p: tuple[int, ...]) -> float:
    """BMP280, section 8.1, in floating point; Pa."""
    v1 = t_fine / 2.0 - 64000.0
    v2 = v1 * v1 * p[5] / 32768.0
    v2 = v2 + v1 * p[4] * 2.0
    v2 = v2 / 4.0 + p[3] * 65536.0
    v1 = (p[2] * v1 * v1 / 524288.0 + p[1] * v1) / 524288.0
    v1 = (1.0 + v1 / 32768.0) * p[0]
    result = 1048576.0 - adc
    result = (result - v2 / 4096.0) * 6250.0 / v1
    return result + (p[8] * result * result / 2147483648.0 + result * p[7] / 32768.0 + p[6]) / 16.0


def double_humidity(adc: int, t_fine: float, h: tuple[int, ...]) -> float:
    """BME280, section 8.1, in floating point; %."""
    v = t_fine - 76800.0
    v = (adc - (h[3] * 64.0 + h[4] / 16384.0 * v)) * (h[1] / 65536.0 * (1.0 + h[5] / 67108864.0 * v * (1.0 + h[2] / 67108864.0 * v)))
    return min(max(v * (1.0 - h[0] * v / 524288.0), 0.0), 100.0)


@pytest.mark.parametrize("seed", range(40))
def test_the_integer_formulas_agree_with_the_floating_point_ones(seed: int) -> None:
    rng = random.Random(seed)
    t = (rng.randint(26000, 29000), rng.randint(24500, 28000), rng.randint(-1200, 100))
    first = (rng.randint(34000, 40000), rng.randint(-11500, -9500), rng.randint(2800, 3200), rng.randint(0, 9000), rng.randint(-200, 250))
    p = (*first, -7, rng.randint(9000, 15500), rng.randint(-14600, -8000), rng.randint(4000, 6500))
    h = (
        rng.randint(0, 90),
        rng.randint(330, 390),
        rng.randint(0, 255),
        rng.randint(280, 360),
        rng.randint(-60, 60),
        rng.randint(-128, 127),
    )
    calibration = Calibration(t, p)
    for adc_t in range(400_000, 600_000, 20_011):
        fine = calibration.fine(adc_t)
        x = adc_t / 16384.0 - t[0] / 1024.0
        assert fine == pytest.approx(x * t[1] + (adc_t / 131072.0 - t[0] / 8192.0) ** 2 * t[2], abs=25), "0.005 °C"
        for adc in range(250_000, 600_000, 50_021):
            assert calibration.pressure(adc, fine) == pytest.approx(double_pressure(adc, fine, p) / 100, abs=0.003)
        for adc in range(0, 65536, 6007):
            assert relative_humidity(adc, fine, h) == pytest.approx(double_humidity(adc, fine, h), abs=0.06)


def test_a_calibration_of_zero_is_no_pressure() -> None:
    with pytest.raises(SettingsLost, match="the calibration for pressure is zero"):
        Calibration.parse(bytes(24)).pressure(400_000, 128_422)


def test_a_calibration_is_little_endian_and_signed_but_for_the_first_of_each_kind() -> None:
    block = struct.pack("<HhhHhhhhhhhh", 0xFFFF, -1, -32768, 0xFFFE, -2, 3, -4, 5, -6, 7, -8, 9)
    calibration = Calibration.parse(block)
    assert calibration.t == (65535, -1, -32768)
    assert calibration.p == (65534, -2, 3, -4, 5, -6, 7, -8, 9)
