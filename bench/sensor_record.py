"""What a sensor's record lets through: recordings and ways of being broken, through simulated BME280s and the whole sensing side.

``python -m bench sensor_record``; a year of hours at each station, and a month of each way of being broken, for ten seeds.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping

from bench.table import Row
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.bme280 import BME280
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim import recordings
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.bme280 import BME280 as Chip
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import Nearby

START, HOUR = 1_672_531_200.0, 3600.0
YEAR, MONTH, SEEDS = 8760, 720, 10
STATION = "chicago"
RANGES = {"temperature": (-39.0, 84.0), "humidity": (0.5, 99.5), "pressure": (310.0, 1090.0)}
Values = dict[str, float]
Broken = Callable[[int, Values, random.Random], Values]


def nonsense(width: float) -> Broken:
    """Return a sensor whose wire is loose: uniform within a part of each channel's range."""
    return lambda i, row, rng: {key: (low + high) / 2 + (rng.random() - 0.5) * width * (high - low) for key, (low, high) in RANGES.items()}


BROKEN: Mapping[str, Broken] = {
    **{f"nonsense of {width:g} of the range": nonsense(width) for width in (0.1, 0.2, 0.5, 1.0)},
    "flapping between the ends": lambda i, row, rng: {key: ends[i % 2] for key, ends in RANGES.items()},
    "stuck": lambda i, row, rng: {"temperature": 10.0, "humidity": 50.0, "pressure": 990.0},
    "one spike in fifty": lambda i, row, rng: nonsense(1.0)(i, row, rng) if rng.random() < 0.02 else row,
    "°F for °C": lambda i, row, rng: {**row, "temperature": min(row["temperature"] * 1.8 + 32, 84.0)},
}


class Scripted:
    """A world whose values are computed hour by hour."""

    channels = tuple(RANGES)

    def __init__(self, say: Callable[[float], Mapping[str, float]]) -> None:
        self._say = say

    def at(self, t: float) -> Mapping[str, float]:
        """Return the values at a time."""
        return self._say(t)


def taken(say: Callable[[float], Mapping[str, float]], hours: int, seed: int) -> list[dict[str, float] | None]:
    """Return what a sensor is believed to have measured at each hour, None where any channel is not good."""
    clock = VirtualClock()
    scene, bus = Scene(Scripted(say), clock), SimulatedBus(clock)
    bus.attach(0x76, Chip(scene, clock, seed))
    sensor = Sensor(BME280(bus, 0x76, clock))
    found: list[dict[str, float] | None] = []
    for hour in range(hours):
        scene.pin(START + hour * HOUR)
        readings = sensor.read()
        found.append({r.channel: r.value or 0.0 for r in readings} if all(reading.good for reading in readings) else None)
        clock.sleep(HOUR)
    return found


def _wrong(values: Mapping[str, float] | None, truth: Mapping[str, float]) -> bool:
    return values is not None and any(abs(values[key] - truth[key]) > limit for key, limit in (("temperature", 1.0), ("pressure", 2.0)))


def _known(world: Nearby) -> Callable[[float], Values]:
    return lambda t: {key: value for key, value in world.at(t).items() if value is not None}


def main() -> list[Row]:
    """Measure."""
    logging.disable(logging.CRITICAL)
    try:
        clean = {name: Nearby(recordings.load(path), "clean") for name, path in recordings.builtin().items()}
        doubted = sum(taken(_known(world), YEAR, 0).count(None) for world in clean.values())
        rows = [Row("readings of real weather that are doubted", doubted, "", 0, f"{len(clean)} stations, {YEAR:,} hours each")]
        for name, broken in BROKEN.items():
            accepted = [_accepted(broken, seed) for seed in range(SEEDS)]
            mean, most = sum(accepted) / SEEDS, max(accepted)
            rows.append(Row(f"{name}: wrong readings accepted", mean, "", None, f"of {MONTH} hours; at most {most}, {SEEDS} seeds"))
    finally:
        logging.disable(logging.NOTSET)
    return rows


def _accepted(broken: Broken, seed: int) -> int:
    rng, world = random.Random(seed), Nearby(recordings.load(recordings.builtin()[STATION]), f"broken {seed}")
    truth = [_known(world)(START + hour * HOUR) for hour in range(MONTH)]
    said = [broken(hour, row, rng) for hour, row in enumerate(truth)]
    found = taken(lambda t: said[round((t - START) / HOUR)], MONTH, seed)
    return sum(_wrong(values, row) for values, row in zip(found, truth, strict=True))
