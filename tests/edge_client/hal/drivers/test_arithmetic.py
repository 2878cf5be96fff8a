"""Random raw values, and what each driver makes of them beside exact fractions of the data sheets' formulas, written a second time."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from math import isnan

import pytest

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


FORMULAS: dict[str, Callable[[Bench, random.Random], dict[str, Fraction]]] = {f.__name__: f for f in (ina226, mcp9808, shtc3, aht20, sgp40)}


@pytest.mark.parametrize("name", FORMULAS)
def test_random_raw_values_become_what_the_data_sheet_says(name: str) -> None:
    bench, rng = stopped(name), random.Random(name)
    for _ in range(VECTORS):
        expected = FORMULAS[name](bench, rng)
        values = bench.read()
        assert {key for key, value in values.items() if not isnan(value)} == set(expected)
        for key, value in expected.items():
            assert values[key] == pytest.approx(float(value), rel=1e-12, abs=1e-12), (name, key)
