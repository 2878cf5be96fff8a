"""Anomalies: how many injected faults of a simulated BME280 a fleet's autoencoder finds, at how many false alarms in its later life."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from bench.activity import Ready, averaged, joined, steps_of, train
from bench.table import Row
from bramble_client.hal import catalogue
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
from bramble_protocol.kinds import ALL, pooled
from bramble_protocol.layout import Weights
from bramble_server import tasks
from bramble_server.learning.counting import threshold

CLIENTS, DAYS, LATER, ROUNDS = 8, 24, 8, 15
WINTER = 1_672_531_200.0
"""Where the clients' lives begin, seconds since 1970 UTC: 2023-01-01."""
MINUTE, DAY = 60.0, 1440
AFTER = 20
"""Minutes of a window before its fault begins."""
TIMES = 25
"""Windows with each fault at each client."""
ADDRESS = 0x76


@dataclass
class Opened:
    """A room in winter whose window is opened: in ten minutes two thirds of 12 °C and 15 % of humidity are gone."""

    room: World
    since: float

    @property
    def channels(self) -> Collection[str]:
        """Those of the room."""
        return self.room.channels

    def at(self, t: float) -> Mapping[str, float | None]:
        """Return the true values at a time."""
        gone = 1 - exp(-max(0.0, t - self.since) / 600)
        return {key: self.room.at(t)[key] - by * gone for key, by in (("temperature", 12.0), ("humidity", 15.0), ("pressure", 0.0))}  # type: ignore[operator]


FAULTS: dict[str, Callable[[Faults, float], object]] = {
    "stuck": lambda faults, begins: faults.on(Kind.FROZEN, start=begins, seconds=3600.0, once=True),
    "drift": lambda faults, begins: faults.on(Kind.DRIFT, start=begins, seconds=2400.0, once=True),
    "spikes": lambda faults, begins: [faults.on(Kind.SPIKE, start=begins + i * 600, size=0.05, once=True) for i in range(3)],
    "window opened": lambda faults, begins: None,
}
"""What goes wrong from a time of the clock on; drift by 5 % of the range in forty minutes, spikes by 5 % every ten."""


def read(world: World, seed: str, start: float, minutes: int, fault: str | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a driver reads of a simulated BME280 once a minute: times, shape (n,), temperature and humidity, shape (n, 2)."""
    clock = VirtualClock()
    scene = Scene(Opened(world, start + AFTER * MINUTE) if fault == "window opened" else world, clock, start)
    bus = SimulatedBus(clock, "simulated bus 1")
    bus.attach(ADDRESS, catalogue.chip("bme280")(scene, clock, seed))
    driver, begun = BME280(bus, ADDRESS, clock), clock.monotonic()
    driver.setup()
    if fault is not None:
        bus.faults = Faults(clock, seed)
        FAULTS[fault](bus.faults, begun + AFTER * MINUTE)
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


def main() -> list[Row]:
    graph = tasks.load("anomaly")
    manifest = graph.manifest
    rate = manifest.kind.alarm_rate
    assert rate is not None  # it reconstructs
    worlds = {f"pi-{number}": Synthetic(f"pi-{number}") for number in range(CLIENTS)}
    end, span = WINTER + DAYS * DAY * MINUTE, manifest.window
    lives = {name: read(world, name, WINTER, (DAYS + LATER) * DAY) for name, world in worlds.items()}
    known = {name: windows(times[: DAYS * DAY], values[: DAYS * DAY], manifest) for name, (times, values) in lives.items()}
    later = joined(windows(times[DAYS * DAY :], values[DAYS * DAY :], manifest) for times, values in lives.values())
    runtime = Runtime(graph.flatbuffer)
    ready = Ready(graph, runtime, known)
    model = learnt(ready, 0)
    arguments = Model(model, graph.state).arguments(manifest)

    def errors(data: Windows) -> NDArray[np.float32]:
        return first_output(runtime, manifest, data, arguments)

    bound = threshold(manifest, pooled(*({ALL: tuple(histogram(errors(own)).tolist())} for own in known.values())))
    assert bound is not None  # there were windows
    ordinary = errors(later)
    false = float((ordinary > bound).mean())
    exact = float(np.quantile(ordinary, 1 - rate))
    rows = [
        Row(
            "False alarms on later, ordinary windows", 1000 * false, "of 1,000", 1000 * rate,
            f"{len(later)} windows of {CLIENTS} clients in {LATER} days; threshold learnt in the {DAYS} days before: {bound:.3g}, "
            f"the rate's own would be {exact:.3g}",
        )
    ]  # fmt: skip
    starts = np.random.default_rng(0).integers(0, LATER * DAY - span, (CLIENTS, TIMES)) * MINUTE + end
    shares = []
    for fault in FAULTS:
        found = []
        for (name, world), begins in zip(worlds.items(), starts, strict=True):
            for i, begin in enumerate(begins // (manifest.stride * MINUTE) * manifest.stride * MINUTE):
                # a window ends at a bin whose number the stride divides; the bin after it must have begun
                times, values = read(world, f"{name} {i}", float(begin) + MINUTE, span + 1, fault)
                found.append(errors(windows(times, values, manifest)[-1:])[0])
        both = [100 * float((np.array(found) > at).mean()) for at in (bound, exact)]
        shares.append(both)
        context = f"{len(found)} windows, {span - AFTER} minutes of it in each; at the rate's own threshold {both[1]:.1f} %"
        rows.append(Row(f"{fault}: found", both[0], "%", 90, context, bound="at least"))
    mean = np.mean(shares, 0)
    return [*rows, Row("All faults: found", mean[0], "%", 90, f"at the rate's own threshold {mean[1]:.1f} %", bound="at least")]
