"""What the data sheets publish, put into the chips' registers as it stands: no formula of ours stands between it and the drivers."""

from __future__ import annotations

import math
import struct

import pytest

from bramble_client.hal.errors import SettingsLost
from tests.edge_client.hal.bench import Bench, stopped

G = 9.80665
TEMPERATURES = [
    *[("tmp117", word, celsius) for word, celsius in [(0x7FFE, 255.984375), (0x3200, 100.0), (0x0001, 0.0078125), (0xFFFF, -0.0078125)]],
    *[("tmp117", word, celsius) for word, celsius in [(0xFFF0, -0.125), (0xF380, -25.0), (0x8001, -255.9921875)]],  # SNOSD82D, table 7-1
    *[("tmp102", code << 4, celsius) for code, celsius in [(0x7FE, 127.875), (0x640, 100.0), (0x004, 0.25), (0x000, 0.0)]],
    *[("tmp102", code << 4 & 0xFFFF, celsius) for code, celsius in [(0xFFC, -0.25), (0xE70, -25.0), (0xC90, -55.0)]],  # SBOS397, table 8-2
    *[("tmp105", code << 4 & 0xFFFF, celsius) for code, celsius in [(0x7FE, 127.875), (0x190, 25.0), (0xFFC, -0.25), (0xC90, -55.0)]],
    *[
        ("lm75", code << 7 & 0xFFFF, celsius)
        for code, celsius in [(0x0FA, 125.0), (0x032, 25.0), (0x001, 0.5), (0x1FF, -0.5), (0x192, -55.0)]
    ],
]


@pytest.mark.parametrize(("name", "word", "celsius"), TEMPERATURES)
def test_thermometers_read_the_codes_of_their_tables(name: str, word: int, celsius: float) -> None:
    bench = stopped(name)
    bench.chip.words[0] = word
    assert bench.read() == {"temperature": celsius}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *[(name, 0x8000) for name in ("tmp117", "tmp102", "tmp105", "lm75")],
        *[("tmp117", 0x7FFF), ("tmp102", 0x7FF0), ("tmp105", 0x7FF0), ("lm75", 0x7F80)],
    ],
)
def test_thermometers_at_an_end_of_their_register_have_no_temperature(name: str, word: int) -> None:
    bench = stopped(name)
    bench.chip.words[0] = word
    assert math.isnan(bench.read()["temperature"])


def test_tmp117_without_power_between_its_settings_and_its_value_has_lost_them() -> None:
    bench = stopped("tmp117")
    original = bench.bus.transfer

    def transfer(address: int, write: bytes = b"", read: int = 0, once: bool = False) -> bytes:
        if write == b"\x00":
            bench.chip.power_on()
        return original(address, write, read)

    bench.bus.transfer = transfer  # type: ignore[method-assign]
    with pytest.raises(SettingsLost, match="power-on values instead of a measurement"):
        bench.read()


@pytest.mark.parametrize(
    ("extended", "celsius"),
    [
        (0x0960, 150.0),
        (0x0800, 128.0),
        (0x07FF, 127.9375),
        (0x0640, 100.0),
        (0x0004, 0.25),
        (0x1FFC, -0.25),
        (0x1E70, -25.0),
        (0x1C90, -55.0),
    ],
)
def test_tmp102s_chip_has_the_13_bits_of_its_extended_mode(extended: int, celsius: float) -> None:
    """SBOS397, "13-bit temperature data format": left-justified, with a 1 in the lowest bit."""
    bench = Bench("tmp102", temperature=celsius)
    bench.send(0x01, 0x60, 0xB0)
    bench.clock.sleep(0.03)
    assert bench.ask(0x00) == extended << 3 | 1


@pytest.mark.parametrize(
    ("pga", "full_scale", "microvolts"),
    [(0, 6.144, 187.5), (1, 4.096, 125.0), (2, 2.048, 62.5), (3, 1.024, 31.25), (4, 0.512, 15.625), (5, 0.256, 7.8125), (7, 0.256, 7.8125)],
)
def test_ads1115s_chip_has_the_steps_of_table_3(pga: int, full_scale: float, microvolts: float) -> None:
    for part, code in ((0.5, 0x4000), (-0.5, 0xC000), (1.0, 0x7FFF), (-1.0, 0x8000), (1.2, 0x7FFF), (-1.2, 0x8000)):
        bench = Bench("ads1115", voltage=4 * part * full_scale)  # a quarter of it comes to AIN0
        bench.send(0x01, 0xC1 | pga << 1, 0x83)
        bench.clock.sleep(0.01)
        assert bench.ask(0x00) == code
    bench = Bench("ads1115", voltage=4e-6 * microvolts)
    bench.send(0x01, 0xC1 | pga << 1, 0x83)
    bench.clock.sleep(0.01)
    assert bench.ask(0x00) == 1


@pytest.mark.parametrize(("mux", "volts"), [*enumerate([0.05, 0.2, 0.15, 0.05, 0.25, 0.2, 0.1, 0.05])])
def test_ads1115s_chip_measures_between_the_inputs_of_table_8(mux: int, volts: float) -> None:
    bench = Bench("ads1115", voltage=1.0)  # 0.25, 0.2, 0.1 and 0.05 V at the four inputs
    bench.send(0x01, 0x83 | mux << 4, 0x83)
    bench.clock.sleep(0.01)
    assert bench.ask(0x00) == pytest.approx(volts / 4.096 * 32768, abs=1)


@pytest.mark.parametrize(
    ("gain", "millivolts", "code"),
    [
        (3, 320, 0x7D00),
        (3, -320, 0x8300),
        (2, 160, 0x3E80),
        (2, -160, 0xC180),
        (1, 80, 0x1F40),
        (1, -80, 0xE0C0),
        (0, 40, 0x0FA0),
        (0, -40, 0xF060),
    ],
)
def test_ina219s_chip_has_the_shunt_codes_of_its_four_gains(gain: int, millivolts: float, code: int) -> None:
    """SBOS448G, section 8.6.3.1, table 7: full scale, where it also clips."""
    for volts in (millivolts, 1.5 * millivolts):
        bench = Bench("ina219", voltage=5.0, current=volts / 1000 / 0.1)
        bench.send(0x00, 0x20 | gain << 3, 0x00 | 0x9F)
        bench.send(0x00, 0x20 | gain << 3 | 1, 0x9B)
        bench.clock.sleep(0.01)
        assert bench.ask(0x01) == code


@pytest.mark.parametrize(
    ("range_", "volts", "code"), [(0x20, 32.0, 0x1F40), (0x00, 16.0, 0x0FA0), (0x20, 40.0, 0x1F40), (0x00, 20.0, 0x0FA0)]
)
def test_ina219s_chip_clips_the_bus_voltage_at_its_range(range_: int, volts: float, code: int) -> None:
    """Section 8.6.3.2: 4 mV a step; 1F40h is 32 V, 0FA0h is 16 V."""
    bench = Bench("ina219", voltage=volts, current=0.0)
    bench.send(0x00, range_ | 0x19, 0x9B)
    bench.clock.sleep(0.01)
    assert bench.ask(0x02) >> 3 == code


@pytest.mark.parametrize(
    ("ohms", "step", "calibration"),
    [(0.002, 1e-3, 0x5000), (0.1, 1e-4, 0x1000), (0.1, 4e-5, 0x2800), (0.5, 2e-5, 0x1000), (0.1, None, 0x1000)],
)
def test_ina219s_calibration_is_equation_1(ohms: float, step: float | None, calibration: int) -> None:
    """Section 8.5.1: 0.04096 / (step * shunt), the lowest bit left out."""
    bench = stopped("ina219", shunt_ohms=ohms, current_step=step)
    assert bench.ask(0x05) == calibration


@pytest.mark.parametrize(("count", "lux"), [(0x8390, 28067), (0x0110, 227), (0x0000, 0), (0xFFFE, 54612)])
def test_bh1750_reads_the_technical_notes_examples(count: int, lux: int) -> None:
    bench = stopped("bh1750")
    bench.chip.count = count
    assert round(bench.read()["illuminance"]) == lux


def test_bh1750_at_its_full_count_has_no_illuminance() -> None:
    bench = stopped("bh1750")
    bench.chip.count = 0xFFFF
    assert math.isnan(bench.read()["illuminance"])


@pytest.mark.parametrize(("instructions", "time"), [((0x44, 0x6A), 138), ((0x42, 0x65), 69), ((0x40, 0x7F), 31), ((0x47, 0x7E), 254)])
def test_bh1750_takes_its_measurement_time_in_two_parts(instructions: tuple[int, int], time: int) -> None:
    """The note's example doubles 0100_0101b to 1000_1010b with 01000_100b and 011_01010b."""
    bench = stopped("bh1750")
    for instruction in instructions:
        bench.send(instruction)
    assert bench.chip.time == time


@pytest.mark.parametrize(
    ("raw", "g", "dps"), [(0x7FFE, 32766 / 8192, 32766 / 65.5), (-0x7FFF, -32767 / 8192, -32767 / 65.5), (8192, 1.0, 8192 / 65.5)]
)
def test_mpu6050_is_twos_complement_to_the_ends_of_its_range(raw: int, g: float, dps: float) -> None:
    bench = stopped("mpu6050")
    bench.chip.memory[0x3B:0x49] = struct.pack(">7h", raw, 0, raw, 77, 0, raw, raw)
    values = bench.read()
    assert [values[f"acceleration_{axis}"] for axis in "xyz"] == pytest.approx([g * G, 0, g * G])
    assert [values[f"rotation_{axis}"] for axis in "xyz"] == pytest.approx([0, dps, dps])


@pytest.mark.parametrize("raw", [0x7FFF, -0x8000])
def test_motion_at_the_end_of_its_range_is_no_number_on_that_axis_alone(raw: int) -> None:
    bench = stopped("mpu6050")
    bench.chip.memory[0x3B:0x49] = struct.pack(">7h", raw, 0, 0, 77, 0, 0, raw)
    assert [key for key, value in bench.read().items() if math.isnan(value)] == ["acceleration_x", "rotation_z"]
    bench = stopped("adxl345")
    bench.chip.memory[0x32:0x38] = struct.pack("<3h", 0, raw >> 3, 0)
    assert [key for key, value in bench.read().items() if math.isnan(value)] == ["acceleration_y"]


@pytest.mark.parametrize(("raw", "g"), [(4094, 4094 / 256), (-4094, -4094 / 256), (256, 1.0), (-1, -1 / 256)])
def test_adxl345_is_twos_complement_to_the_ends_of_its_range(raw: int, g: float) -> None:
    bench = stopped("adxl345")
    bench.chip.memory[0x32:0x38] = struct.pack("<3h", raw, 0, -raw)
    values = bench.read()
    assert [values[f"acceleration_{axis}"] for axis in "xyz"] == pytest.approx([g * G, 0, -g * G])


def test_ads1115_that_clips_is_no_number_on_that_input_alone() -> None:
    values = Bench("ads1115", voltage=18.0).read()
    assert [key for key, value in values.items() if math.isnan(value)] == ["a0.voltage"]
    assert values["a1.voltage"] == pytest.approx(3.6, abs=1e-4)
