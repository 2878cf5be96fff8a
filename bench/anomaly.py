"""Anomalies: how many injected faults of a simulated BME280, clear and small, a fleet's autoencoder finds, at how many false alarms."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from bench.activity import Ready, averaged, joined, steps_of, train
from bench.table import Row
from bramble_client.hal import catalogue
from bramble_client.hal.channels import quantity
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.bme280 import BME280
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.faults import Faults, Kind
from bramble_client.hal.sim.scene import Scene, World
from bramble_client.hal.sim.world import Synthetic
from bramble_client.learn.counting import first_output, histogram
from bramble_client.learn.fitting import Model
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.windows import Windows, windows
from bramble_protocol.graph import GraphFile
from bramble_protocol.kinds import ALL, pooled
from bramble_protocol.layout import Weights
from bramble_server import tasks
from bramble_server.learning.counting import threshold

CLIENTS, DAYS, LATER, ROUNDS = 8, 24, 8, 15
WORLDS = ("elm", "oak", "ash")
"""Names that the worlds are made from: the task was designed in another, and learnt from each of these by itself."""
WINTER = 1_672_531_200.0
"""Where the clients' lives begin, seconds since 1970 UTC: 2023-01-01."""
MINUTE, DAY = 60.0, 1440
AFTER = 20
"""Minutes of a window before its fault begins."""
TIMES = 10
"""Windows with each fault of each size at each client of each world."""
ADDRESS = 0x76


SHARE = 1 / (quantity("temperature").high - quantity("temperature").low)
"""A degree as a part of the plausible range, in which simulated faults have their sizes; humidity shifts by the same part of its own."""
FAULTS: dict[str, tuple[str, tuple[float, ...]]] = {
    "stuck": ("min of it", (40, 20, 15, 10)),
    "drift": ("°C in forty minutes", (7, 3, 1.5, 0.7)),
    "spikes": ("°C every ten minutes", (7, 0.7, 0.3, 0.15)),
    "window opened": ("°C colder in the end", (12, 3, 1, 0.5)),
}
"""What goes wrong, in what its size is told, and how large it is: first clearly, then less so."""


@dataclass
class Opened:
    """A room in winter whose window is opened: in ten minutes two thirds of so many °C, and as much and a quarter more in %, are gone."""

    room: World
    since: float
    colder: float

    @property
    def channels(self) -> Collection[str]:
        """Those of the room."""
        return self.room.channels

    def at(self, t: float) -> Mapping[str, float | None]:
        """Return the true values at a time."""
        gone = self.colder * (1 - exp(-max(0.0, t - self.since) / 600))
        return {key: self.room.at(t)[key] - by * gone for key, by in (("temperature", 1.0), ("humidity", 1.25), ("pressure", 0.0))}  # type: ignore[operator]


def inject(faults: Faults, fault: str, begins: float, size: float) -> None:
    """Have a bus's sensors fail from a time of its clock on."""
    if fault == "stuck":
        faults.on(Kind.FROZEN, start=begins, seconds=3600.0, once=True)
    elif fault == "drift":
        faults.on(Kind.DRIFT, start=begins, seconds=2400.0, size=size * SHARE, once=True)
    elif fault == "spikes":
        for i in range(3):
            faults.on(Kind.SPIKE, start=begins + i * 600, size=size * SHARE, once=True)


def read(
    world: World, seed: str, start: float, minutes: int, fault: str | None = None, size: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a driver reads of a simulated BME280 once a minute: times, shape (n,), temperature and humidity, shape (n, 2)."""
    after = MINUTE * (minutes - 1 - size if fault == "stuck" else AFTER)
    clock = VirtualClock()
    scene = Scene(Opened(world, start + after, size) if fault == "window opened" else world, clock, start)
    bus = SimulatedBus(clock, "simulated bus 1")
    bus.attach(ADDRESS, catalogue.chip("bme280")(scene, clock, seed))
    driver, begun = BME280(bus, ADDRESS, clock), clock.monotonic()
    driver.setup()
    if fault is not None:
        bus.faults = Faults(clock, seed)
        inject(bus.faults, fault, begun + after, size)
    values: NDArray[np.float64] = np.empty((minutes, 2))
    times: NDArray[np.float64] = start + (np.arange(minutes, dtype=np.float64) + 0.5) * MINUTE
    for minute in range(minutes):
        clock.sleep(begun + (minute + 0.5) * MINUTE - clock.monotonic())
        found = driver.read().values
        values[minute] = found["temperature"], found["humidity"]
    return times, values


def learnt(ready: Ready, seed: int) -> Weights:
    """Return a fleet's model after its rounds."""
    model = ready.graph.initial
    for number in range(ROUNDS):
        trained = [
            (len(own), train(ready, own, model, steps_of(ready, own), (seed, number, i))) for i, own in enumerate(ready.data.values())
        ]
        model = averaged(model, trained)
    return model


@dataclass(frozen=True)
class Found:
    """What one world's fleet found with its own threshold."""

    false: NDArray[np.bool_]
    """Of each ordinary window of its later life, whether it was an alarm."""
    faults: dict[tuple[str, float], NDArray[np.bool_]]
    """Of each window with a fault, by fault and size, whether it was one."""


def lived(graph: GraphFile, runtime: Runtime, name: str) -> Found:
    """Let a world's clients learn for ``DAYS`` days, and look for alarms and faults in the ``LATER`` days that follow."""
    manifest, span = graph.manifest, graph.manifest.window
    worlds = {seed: Synthetic(seed) for seed in (f"{name} {number}" for number in range(CLIENTS))}
    end = WINTER + DAYS * DAY * MINUTE
    lives = {seed: read(world, seed, WINTER, (DAYS + LATER) * DAY) for seed, world in worlds.items()}
    known = {seed: windows(times[: DAYS * DAY], values[: DAYS * DAY], manifest) for seed, (times, values) in lives.items()}
    later = joined(windows(times[DAYS * DAY :], values[DAYS * DAY :], manifest) for times, values in lives.values())
    model = learnt(Ready(graph, runtime, known), 0)
    arguments = Model(model, graph.state).arguments(manifest)

    def errors(data: Windows) -> NDArray[np.float32]:
        return first_output(runtime, manifest, data, arguments)

    bound = threshold(manifest, pooled(*({ALL: tuple(histogram(errors(own)).tolist())} for own in known.values())))
    assert bound is not None  # there were windows
    starts = np.random.default_rng(0).integers(0, LATER * DAY - span, (CLIENTS, TIMES)) // manifest.stride * manifest.stride
    found = {
        (fault, size): np.array(
            [
                # a window ends at a bin whose number the stride divides; the bin after it must have begun
                errors(windows(*read(world, f"{seed} {i}", end + (1 + begin) * MINUTE, span + 1, fault, size), manifest)[-1:])[0] > bound
                for (seed, world), begins in zip(worlds.items(), starts.tolist(), strict=True)
                for i, begin in enumerate(begins)
            ]
        )
        for fault, (_, sizes) in FAULTS.items()
        for size in sizes
    }
    return Found(errors(later) > bound, found)


def main() -> list[Row]:
    graph = tasks.load("anomaly")
    rate = graph.manifest.kind.alarm_rate
    assert rate is not None  # it reconstructs
    runtime = Runtime(graph.flatbuffer)
    found = [lived(graph, runtime, name) for name in WORLDS]

    def each(parts: Iterable[NDArray[np.bool_]], scale: float) -> tuple[float, str]:
        shares = [scale * float(part.mean()) for part in parts]
        return float(np.mean(shares)), f"by world {', '.join(f'{share:.3g}' for share in shares)}"

    false, worlds = each((one.false for one in found), 1000)
    windows_in_all = sum(len(one.false) for one in found)
    context = f"{windows_in_all} windows of {CLIENTS} clients in {LATER} days, threshold learnt in the {DAYS} days before; {worlds}"
    rows = [Row("False alarms on later, ordinary windows", false, "of 1,000", 1000 * rate, context)]
    for fault, (unit, sizes) in FAULTS.items():
        for size in sizes:
            share, worlds = each((one.faults[fault, size] for one in found), 100)
            limit = 90 if size == sizes[0] else None
            context = f"{len(WORLDS) * CLIENTS * TIMES} windows; {worlds}"
            rows.append(Row(f"{fault}, {size:g} {unit}: found", share, "%", limit, context, bound="at least"))
    return rows
