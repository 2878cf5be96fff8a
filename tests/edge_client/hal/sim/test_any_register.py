"""Simulated chips survive whatever reaches their registers, in a world without bounds, as their models of silicon do."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator

import pytest

from bramble_client.hal import catalogue
from bramble_client.hal.channels import TABLE
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.errors import BusError
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.scene import Scene
from tests.edge_client.hal.bench import WORLD, Flat

EXTREMES = (0.0, -9999.0, 9999.0, 1e9, -1e9, float("inf"), float("-inf"))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", catalogue.BUILTIN)
def test_a_chip_survives_any_write_and_any_register_and_comes_back(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "bme680":
        monkeypatch.setattr(f"{pytest.importorskip(name).__name__}.time.sleep", lambda seconds: None)
    rng = random.Random(f"{name} {seed}")
    kind, clock = catalogue.driver(name), VirtualClock()
    usual = {**{key: (row.low + row.high) / 2 for key, row in TABLE.items()}, **WORLD}
    world, bus = Flat(**usual), SimulatedBus(clock)
    chip = catalogue.chip(name)(Scene(world, clock), clock, seed)
    bus.attach(kind.addresses[0], chip)
    for step in range(400):
        world.values[rng.choice([*usual])] = rng.choice(EXTREMES)
        try:
            # A write, or a register that is set by itself, as by a flipped bit inside the chip
            if step % 4 or not _corrupt(chip, rng):
                bus.transfer(kind.addresses[0], rng.randbytes(rng.randrange(5)), rng.choice((0, 1, 2, 3, 6, 14, 40)))
        except BusError:
            pass  # a refusal is what the chip's bus is for
        clock.sleep(rng.choice((0.0, 0.001, 0.2, 7.0)))
    world.values.update(usual)
    chip.power_on()
    sensor = Sensor(kind(bus, None, clock))
    for _ in range(6):
        clock.sleep(max(30.0, kind.fastest))
        readings = sensor.read()
    assert all(reading.good for reading in readings), (sensor.error, readings)


def _corrupt(chip: object, rng: random.Random) -> bool:
    memory, words = getattr(chip, "memory", None), getattr(chip, "words", None)
    if memory is not None:
        memory[rng.randrange(len(memory))] = rng.randrange(256)
    elif words:
        words[rng.choice([*words])] = rng.randrange(1 << 16)
    return memory is not None or bool(words)


@pytest.mark.parametrize("name", catalogue.BUILTIN)
def test_a_world_without_bounds_is_never_measured_as_something_ordinary(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What wraps round in a register comes back as weather: -9999 °C as -0.48 °C."""
    if name == "bme680":
        monkeypatch.setattr(f"{pytest.importorskip(name).__name__}.time.sleep", lambda seconds: None)
    kind = catalogue.driver(name)
    for key in {channel.rpartition(".")[2] for channel in kind.channels} - {"power"}:
        for value in (-9999.0, 1e9, float("inf"), float("-inf")):
            clock = VirtualClock()
            bus = SimulatedBus(clock)
            usual = {**{key: (row.low + row.high) / 2 for key, row in TABLE.items()}, **WORLD}
            world = Flat(**{**usual, key: value})
            bus.attach(kind.addresses[0], catalogue.chip(name)(Scene(world, clock), clock))
            readings = Sensor(kind(bus, None, clock)).read()
            if (name[:3], key) == ("ina", "voltage") and value < 0:
                continue  # a supply of the wrong sign ends the chip
            nearest = TABLE[key].possible(value)
            for reading in readings:
                if reading.channel.rpartition(".")[2] == key and reading.good:
                    assert reading.value == pytest.approx(nearest, abs=0.5), (key, value)
