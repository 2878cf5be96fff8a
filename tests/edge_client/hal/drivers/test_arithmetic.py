"""Random raw values, and what each driver makes of them beside exact fractions of the data sheets' formulas, written a second time."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from fractions import Fraction
from math import isnan

import pytest

from bramble_client.hal.drivers.bmp390 import Calibration
from tests.edge_client.hal.bench import Bench, stopped

VECTORS = 2000


def signed(word: int, bits: int = 16) -> int:
    return word - (word >> (bits - 1) << bits)


def ina226(bench: Bench, rng: random.Random) -> dict[str, Fraction]:
    shunt, bus = rng.randrange(1 << 16), rng.randrange(1 << 15)
    bench.chip.words.update({0x01: shunt, 0x02: bus})
    current = None if shunt in (0x7FFF, 0x8000) else Fraction(signed(shunt) * 25, 1_000_000)
    voltage = None if bus == 0x7FFF else Fraction(bus, 800)
    values = {"current": current, "voltage": voltage, "power": None if current is None or voltage is None else current * voltage}
    return {key: value for key, value in values.items() if value is not None}


def mcp9808(bench: Bench, rng: random.Random) -> dict[str, Fraction]:
    word = rng.randrange(1 << 16)
    bench.chip.words[0x05] = word
    magnitude = Fraction(word & 0x0FFF, 16)  # equation 5-1
    return {} if word & 0x1FFF in (0x0FFF, 0x1000) else {"temperature": magnitude - 256 if word & 0x1000 else magnitude}


def shtc3(bench: Bench, rng: random.Random) -> dict[str, Fraction]:
    temperature, humidity = rng.randrange(1 << 16), rng.randrange(1 << 16)
    bench.chip._raw = (temperature, humidity)
    values = {"humidity": Fraction(100 * humidity, 1 << 16)}
    return values if temperature in (0, 0xFFFF) else {**values, "temperature": Fraction(175 * temperature, 1 << 16) - 45}


def aht20(bench: Bench, rng: random.Random) -> dict[str, Fraction]:
    temperature, humidity = rng.randrange(1, (1 << 20) - 1), rng.randrange(1 << 20)
    bench.chip._raw = (humidity, temperature)
    return {"humidity": Fraction(100 * humidity, 1 << 20), "temperature": Fraction(200 * temperature, 1 << 20) - 50}


def sgp40(bench: Bench, rng: random.Random) -> dict[str, Fraction]:
    bench.chip._raw = rng.randrange(1, (1 << 16) - 1)
    return {"voc_raw": Fraction(bench.chip._raw)}


def bmp390(bench: Bench, rng: random.Random) -> dict[str, Fraction]:
    """Sections 8.4 to 8.6, with coefficients of any size that their registers hold."""
    t1, t2, p5, p6 = (rng.randrange(1 << 16) for _ in range(4))
    p1, p2, p9 = (rng.randrange(-(1 << 15), 1 << 15) for _ in range(3))
    t3, p3, p4, p7, p8, p10, p11 = (rng.randrange(-128, 128) for _ in range(7))
    temperature, pressure = rng.randrange(1, (1 << 24) - 1), rng.randrange(1, (1 << 24) - 1)
    bench.chip.memory[0x31:0x46] = struct.pack("<HHbhhbbHHbbhbb", t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11)
    bench.chip.memory[0x04:0x0A] = pressure.to_bytes(3, "little") + temperature.to_bytes(3, "little")
    bench.driver._calibration = Calibration.parse(bytes(bench.chip.memory[0x31:0x46]))
    x = temperature - Fraction(t1 * 256)
    t = x * Fraction(t2, 2**30) + x * x * Fraction(t3, 2**48)
    one = p5 * 8 + Fraction(p6, 64) * t + Fraction(p7, 256) * t**2 + Fraction(p8, 32768) * t**3
    two = Fraction(p1 - 16384, 2**20) + Fraction(p2 - 16384, 2**29) * t + Fraction(p3, 2**32) * t**2 + Fraction(p4, 2**37) * t**3
    three = (Fraction(p9, 2**48) + Fraction(p10, 2**48) * t) * pressure**2 + Fraction(p11, 2**65) * pressure**3
    return {"temperature": t, "pressure": (one + pressure * two + three) / 100}


def vl53l0x(bench: Bench, rng: random.Random) -> dict[str, Fraction]:
    status, millimetres = rng.choice((4, 6, 11, 11)), rng.randrange(1 << 13)
    bench.chip.pages[0][0x14], bench.chip.pages[0][0x1E:0x20] = status << 3 | rng.randrange(8), divmod(millimetres, 256)
    return {"distance": Fraction(millimetres)} if status == 11 and millimetres < 8190 else {}


FORMULAS: dict[str, Callable[[Bench, random.Random], dict[str, Fraction]]] = {
    f.__name__: f for f in (ina226, mcp9808, shtc3, aht20, sgp40, bmp390, vl53l0x)
}


@pytest.mark.parametrize("name", FORMULAS)
def test_random_raw_values_become_what_the_data_sheet_says(name: str) -> None:
    bench, rng = stopped(name), random.Random(name)
    for _ in range(VECTORS):
        expected = FORMULAS[name](bench, rng)
        values = bench.read()
        assert {key for key, value in values.items() if not isnan(value)} == set(expected)
        for key, value in expected.items():
            assert values[key] == pytest.approx(float(value), rel=1e-9, abs=1e-6), (name, key)
