"""Reads over the simulated bus while everything goes wrong, and the wrong values that were taken for good all the same.

The world's true value is known, so every accepted value can be checked. ``READS`` in the environment asks for fewer reads, ``CHIPS``
(names with commas between them) for some chips alone.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.asked import some_of, whole_number
from bench.table import Row
from bramble_client.hal import Quality, catalogue
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.sensor import Sensor
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.chips.ads1115 import DIVIDERS
from bramble_client.hal.sim.faults import Faults, Kind
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import Synthetic
from tests.edge_client.hal.bench import active

PROMISED = 10_000_000
READS = whole_number("READS", PROMISED)
PROBABILITY = 0.01
"""How many of the reads each fault strikes."""
LASTS = {Kind.STUCK: 0.001, Kind.UNPLUG: 1.5, Kind.FROZEN: 3.0, Kind.DRIFT: 3.0}
"""How long the lasting faults last, in intervals between two reads."""
START = 1_683_000_000.0

TOLERANCE: dict[str, dict[str, float]] = {
    "bme280": {"temperature": 0.06, "humidity": 0.25, "pressure": 0.3},
    "bmp280": {"temperature": 0.06, "pressure": 0.3},
    "sht3x": {"temperature": 0.16, "humidity": 0.32},
    "sht4x": {"temperature": 0.16, "humidity": 0.32},
    "tmp117": {"temperature": 0.05},
    "tmp102": {"temperature": 0.2},
    "tmp105": {"temperature": 0.2},
    "lm75": {"temperature": 0.42},
    "ads1115": {f"a{i}.voltage": 0.0003 for i in range(4)},
    "ina219": {"voltage": 0.015, "current": 0.0002, "power": 0.02},
    "bh1750": {"illuminance": 1.0},
    "mpu6050": {**{f"acceleration_{axis}": 0.3 for axis in "xyz"}, **{f"rotation_{axis}": 0.6 for axis in "xyz"}},
    "adxl345": {f"acceleration_{axis}": 0.4 for axis in "xyz"},
    "scd4x": {"carbon_dioxide": 75.0, "temperature": 0.4, "humidity": 0.8},
    "ina226": {"voltage": 0.005, "current": 0.0001, "power": 0.005},
    "mcp9808": {"temperature": 0.2},
    "shtc3": {"temperature": 0.4, "humidity": 0.4},
    "aht20": {"temperature": 0.08, "humidity": 0.2},
    "sgp40": {"voc_raw": 80.0},
    "vl53l0x": {"distance": 65.0},
    "bmp390": {"temperature": 0.03, "pressure": 0.08},
}
"""Eight standard deviations of each chip's noise, and its resolution: a value within is not wrong."""

CHIPS = some_of("CHIPS", TOLERANCE)
CHECKED = ("sht3x", "sht4x", "scd4x", "shtc3", "aht20", "sgp40")
PHYSICAL = {Kind.FROZEN, Kind.DRIFT, Kind.SPIKE}
"""Faults of what the chip feels or converts: its bytes are then in order, and no check sum can betray them."""


Job = tuple[str, int, tuple[Kind, ...], int]
"""Chip, reads, faults, seed."""


@dataclass
class Outcome:
    """What became of the reads of one sensor."""

    name: str
    reads: int = 0
    expected: int = 0
    good: int = 0
    doubted: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    """Accepted values that are not true, by the faults that were on."""
    faults: int = 0

    @property
    def unaccounted(self) -> int:
        """Readings that are neither good, nor doubted, nor missing."""
        return self.expected - self.good - self.doubted.total() - self.missing


def trial(name: str, reads: int, kinds: Iterable[Kind] = tuple(Kind), probability: float = PROBABILITY, seed: int = 0) -> Outcome:
    """Read one sensor again and again while these faults strike, and compare what is accepted with the truth."""
    clock = VirtualClock()
    scene = Scene(Synthetic(f"trial {seed}"), clock)
    scene.pin(START)
    bus = SimulatedBus(clock, seed=seed)
    kind = catalogue.driver(name)
    step = max(kind.interval, kind.fastest)
    chip = catalogue.chip(name)(scene, clock, seed)
    bus.attach(kind.addresses[0], chip)
    sensor = Sensor(kind(bus, None, clock), simulated=True)
    sensor.read()
    bus.faults = faults = Faults(clock, f"{name} {seed}")
    clock.sleep(step)
    transfers = _transfers(sensor, bus)
    for fault in kinds:
        faults.on(fault, probability / transfers, seconds=LASTS.get(fault, 0.0) * step)
    outcome, tolerance, before = Outcome(name), TOLERANCE[name], Counter[tuple[Kind, int]]()
    for number in range(reads):
        clock.sleep(step)
        scene.pin(START + number * step)
        lasting = active(faults, kind.addresses[0])
        outcome.reads += 1
        outcome.expected += len(kind.channels)
        for reading in sensor.read():
            if reading.quality is Quality.MISSING:
                outcome.missing += 1
            elif not reading.good:
                outcome.doubted[reading.quality.name] += 1
            else:
                outcome.good += 1
                if not abs((reading.value or 0.0) - truth(scene, reading.channel)) <= tolerance[reading.channel]:
                    begun = {kind for kind, _ in faults.counts - before}
                    outcome.wrong[" + ".join(sorted(lasting | begun)) or "earlier"] += 1
        before = faults.counts.copy()
    outcome.faults = faults.counts.total()
    return outcome


def _transfers(sensor: Sensor, bus: SimulatedBus) -> int:
    """Return how many transfers an undisturbed read has."""
    count, attempt = 0, bus._attempt

    def counted(address: int, write: bytes, read: int, once: bool = False) -> bytes:
        nonlocal count
        count += 1
        return attempt(address, write, read, once)

    bus._attempt = counted  # type: ignore[method-assign]
    sensor.read()
    bus._attempt = attempt  # type: ignore[method-assign]
    return count


def truth(scene: Scene, channel: str) -> float:
    """Return what a channel should show."""
    if channel.endswith(".voltage"):
        return scene.value("voltage") * DIVIDERS[int(channel[1])]
    return scene.value(channel)


def _job(job: Job) -> Outcome:
    logging.disable(logging.CRITICAL)  # every failure would be a line
    name, reads, kinds, seed = job
    return trial(name, reads, kinds, seed=seed)


def main() -> list[Row]:
    """Read every chip under all faults together, then under each alone."""
    each = READS // len(CHIPS)
    parts = max(1, each // 50_000)
    jobs: list[Job] = [(name, each // parts, tuple(Kind), seed) for name in CHIPS for seed in range(parts)]
    alone: list[Job] = [(name, max(100, READS // 2000), (kind,), 0) for kind in Kind for name in CHIPS]
    with multiprocessing.get_context("spawn").Pool() as pool:
        together = pool.map(_job, jobs, chunksize=1)
        single = pool.map(_job, alone, chunksize=4)
    return [*_totals(together), *_by_chip(together), *_by_fault(alone, single)]


def _totals(outcomes: list[Outcome]) -> list[Row]:
    reads, faults = sum(o.reads for o in outcomes), sum(o.faults for o in outcomes)
    betrayed = sum(
        count for o in outcomes if o.name in CHECKED for names, count in o.wrong.items() if not {Kind(n) for n in _kinds(names)} & PHYSICAL
    )
    return [
        Row("reads without a crash or a hang", reads, "", 0.999 * PROMISED, f"{faults:,} faults struck", bound="at least"),
        Row("readings that are not accounted for", sum(abs(o.unaccounted) for o in outcomes), "", 0, "good, doubted or missing"),
        Row("wrong values accepted from chips with a check sum", betrayed, "", 0, "all faults but those of the sensing element"),
    ]


def _kinds(names: str) -> list[str]:
    return [] if names == "earlier" else names.split(" + ")


def _by_chip(outcomes: list[Outcome]) -> list[Row]:
    rows = []
    for name in CHIPS:
        mine = [o for o in outcomes if o.name == name]
        good, expected = sum(o.good for o in mine), sum(o.expected for o in mine)
        wrong = sum((o.wrong for o in mine), Counter[str]())
        physical = sum(count for names, count in wrong.items() if {Kind(n) for n in _kinds(names)} & PHYSICAL)
        rest = wrong.total() - physical
        note = f"{good / expected:.1%} of {expected:,} good; {physical:,} more while frozen, drifting or after a spike"
        rows.append(Row(f"{name}: wrong values accepted, all faults at 1 %", rest, "", None, note))
    return rows


def _by_fault(jobs: list[Job], outcomes: list[Outcome]) -> list[Row]:
    rows = []
    for kind in Kind:
        mine = [o for job, o in zip(jobs, outcomes, strict=True) if job[2] == (kind,)]
        wrong = ", ".join(f"{o.name} {o.wrong.total():,}" for o in mine if o.wrong)
        good = sum(o.good for o in mine)
        note = f"of {good:,} accepted" + (f": {wrong}" if wrong else "")
        rows.append(Row(f"{kind} alone at 1 %: wrong values accepted", sum(o.wrong.total() for o in mine), "", None, note))
    return rows
