"""Which exercise? A fleet that never saw a person against training in one place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.table import Row
from bramble.simulation.workers import Threads
from bramble_client.hal import catalogue
from bramble_client.hal.clock import VirtualClock
from bramble_client.hal.drivers.mpu6050 import MPU6050
from bramble_client.hal.sim.bus import SimulatedBus
from bramble_client.hal.sim.recordings import Recording
from bramble_client.hal.sim.scene import Scene
from bramble_client.hal.sim.world import Layered, Synthetic
from bramble_client.learn.fitting import Model, Run, minibatches
from bramble_client.learn.labels import labelled
from bramble_client.learn.runtime import Graph
from bramble_client.learn.trainer import measure
from bramble_client.learn.windows import Windows, windows
from bramble_client.machine.exchange import Exchange
from bramble_client.recordings.exercises import CHANNELS, CLASSES, Person, people
from bramble_protocol.graph import GraphFile, Manifest
from bramble_protocol.layout import Weights
from bramble_server import tasks
from bramble_server.learning.strategies import Update, create

SEEDS = 3
ROUNDS = 15
ADDRESS, RANGE_G, RANGE_DPS, HERTZ = 0x68, 8, 2000, 100.0
"""The chip reads twice in each of the task's bins, so that its pace need not be exactly the task's."""
FETCH_S = 0.25


@dataclass(frozen=True)
class Ready:
    """What all runs share."""

    graph: GraphFile
    runtime: Graph
    data: dict[str, Windows]
    """Each person's windows."""


def read(person: Person) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the driver of a simulated MPU-6050 at the person's wrist reads: times, shape (n,), and six axes, shape (n, 6)."""
    clock = VirtualClock()
    worn = Recording(person.times, {key: person.values[:, i] for i, key in enumerate(CHANNELS)})
    scene = Scene(Layered(worn, Synthetic(person.name)), clock, float(person.times[0]))
    bus = SimulatedBus(clock, "simulated bus 1")
    bus.attach(ADDRESS, catalogue.chip("mpu6050")(scene, clock, person.name))
    driver = MPU6050(bus, ADDRESS, clock, range=RANGE_G, rotation_range=RANGE_DPS)
    begun = clock.monotonic()
    driver.start(HERTZ)
    found = []
    while clock.monotonic() - begun < person.times[-1] - person.times[0]:
        clock.sleep(FETCH_S)
        found += driver.drain()
    times = np.array([each.at - begun + person.times[0] for each in found])
    return times, np.array([[each.values[key] for key in CHANNELS] for each in found], np.float64)


def said(person: Person) -> list[tuple[float, str]]:
    """Return the labels of who presses the button when an exercise begins, until it is the right one, and holds it when it ends."""
    exchange, found = Exchange(CLASSES), dict[float, str]()
    breaks = np.flatnonzero(np.diff(person.times) > 1.0) + 1
    for part, labels in zip(np.split(person.times, breaks), np.split(person.labels, breaks), strict=True):
        label = None
        while label != CLASSES[int(labels[0])]:
            [saying] = exchange.pressed(float(part[0]), long=False)
            label = found[saying.t] = saying.label
        [saying] = exchange.pressed(float(part[-1]), long=True)
        found[saying.t] = saying.label
    return sorted(found.items())


def of(person: Person, manifest: Manifest) -> Windows:
    """Return a person's windows, as a client makes them of its chip's readings and its button's labels."""
    times, values = read(person)

    def columns(keys: Sequence[str], since: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return times, np.column_stack([values, np.full(len(times), np.nan)])

    return windows(*labelled(columns, lambda: said(person), manifest)([channel.key for channel in manifest.channels], None), manifest)


def begin(graph: GraphFile, seed: int) -> Weights:
    """Return initial weights of a seed (Glorot and Bengio 2010)."""
    rng = np.random.default_rng(seed)
    return graph.manifest.layout.join([_drawn(tensor.shape, rng) for tensor in graph.manifest.layout.tensors])


def _drawn(shape: Sequence[int], rng: np.random.Generator) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    field = int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / (field * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def joined(parts: Iterable[Windows]) -> Windows:
    """Return several clients' windows in one place."""
    given = list(parts)
    inputs, targets = (
        {name: np.concatenate([getattr(part, kind)[name] for part in given]) for name in getattr(given[0], kind)}
        for kind in ("inputs", "targets")
    )
    return Windows(inputs, targets, np.concatenate([part.time for part in given]))


def train(ready: Ready, data: Windows, start: Weights, steps: int, seed: Sequence[int]) -> Weights:
    """Take so many steps from a model on windows in one place."""
    manifest = ready.graph.manifest
    config = replace(manifest.config, epochs=-(-steps * manifest.config.batch_size // len(data)))
    idx, sw = minibatches(len(data), config, np.random.default_rng(seed).permutation)
    run = Run(ready.runtime, manifest, data, Model(start, ready.graph.state), (idx[:steps], sw[:steps]), config)
    run.advance(steps)
    return run.model.weights


def steps_of(ready: Ready, data: Windows) -> int:
    """Return how many steps an epoch has."""
    return -(-len(data) // ready.graph.manifest.config.batch_size)


def accuracy(ready: Ready, data: Windows, model: Weights) -> float:
    """Return the part of windows whose exercise is named right."""
    return 1 - measure(ready.runtime, data, Model(model, ready.graph.state).arguments(ready.graph.manifest))["error"]


def averaged(model: Weights, updates: Sequence[tuple[int, Weights]]) -> Weights:
    """Return what FedAvg makes of clients' windows and weights."""
    strategy = create("fedavg")
    strategy.begin(model)
    for number, (count, weights) in enumerate(updates):
        strategy.fold(Update(f"pi-{number}", count, weights))
    return strategy.finish()


def without(ready: Ready, unseen: str, seed: int) -> tuple[float, float, float]:
    """Return the accuracy on a person never seen: of the fleet, of one place with as many steps one after the other, and in all."""
    known = {name: data for name, data in ready.data.items() if name != unseen}
    model = start = begin(ready.graph, seed)
    for number in range(ROUNDS):
        trained = [(len(own), train(ready, own, model, steps_of(ready, own), (seed, number, i))) for i, own in enumerate(known.values())]
        model = averaged(model, trained)
    together = joined(known.values())
    one_after_the_other = ROUNDS * max(steps_of(ready, own) for own in known.values())
    in_all = ROUNDS * sum(steps_of(ready, own) for own in known.values())
    places = [train(ready, together, start, steps, (seed, steps)) for steps in (one_after_the_other, in_all)]
    fleet, few, many = (accuracy(ready, ready.data[unseen], weights) for weights in (model, *places))
    return fleet, few, many


def _unseen(runtime: Graph, graph: GraphFile, data: dict[str, Windows], job: tuple[str, int]) -> tuple[float, float, float]:
    return without(Ready(graph, runtime, data), *job)


def main() -> list[Row]:
    graph = tasks.load("activity")
    everybody = people()
    data = {name: of(person, graph.manifest) for name, person in everybody.items()}
    unseen = [(name, seed) for name in everybody for seed in range(SEEDS)]
    with closing(Threads(graph, os.cpu_count() or 1)) as threads:
        found = np.array(list(threads.map(_unseen, (((data,), job) for job in unseen)))).reshape(len(everybody), SEEDS, 3)
    fleet, few, many = 100 * found.mean((0, 1))
    rows = [
        Row(
            "Person never seen: points of accuracy below one place", few - fleet, "", 3,
            f"fleet {fleet:.1f} %, {ROUNDS} rounds of an epoch; one place with as many steps one after the other {few:.1f} %, with as many "
            f"in all {many:.1f} %; mean of {len(everybody)} people and {SEEDS} seeds",
        )
    ]  # fmt: skip
    for name, seeds in zip(everybody, 100 * found, strict=True):
        fleet, few, many = seeds.mean(0)
        spread = f"seeds {', '.join(f'{each:.0f}' for each in seeds[:, 0])}"
        rows.append(Row(f"{name}: accuracy, never seen", fleet, "%", ratio_of=f"{spread}; one place {few:.1f} %, all steps {many:.1f} %"))
    return rows
