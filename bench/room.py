"""The room task in simulated rooms: when clients first train, how soon they are below persistence, with one channel and with three."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bench.table import Row
from bramble_client.hal.sim import rooms
from bramble_client.learn.fitting import Model
from bramble_client.learn.gathering import NotEnoughData, enough
from bramble_client.learn.plausibility import WindowDoubts
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import Ready, local_run, measure
from bramble_client.learn.windows import windows
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate, Timing
from bramble_server import tasks
from bramble_server.learning.strategies import Update, create

CLIENTS, ROUNDS, SEEDS = 5, 10, (5, 6, 7, 8, 9)
"""The model was chosen in the rooms of seeds 0 to 4."""
EVERY = (15, 60)
"""Minutes between rounds: ten of them over before noon, and at the end of the afternoon."""
HELD_OUT = 1440
"""Minutes after the last round, which nobody trains on."""
BEGINS = 7 * 60
"""Minute of the day at which readings begin: somebody has just put the sensors up."""


def first(graph: GraphFile, channels: int, seed: int) -> int:
    """Return how many minutes of readings the first training takes."""
    times, values = _room(seed, 0, channels, 1)
    for count in range(1, 200):
        try:
            enough(windows(times[:count], values[:count], graph.manifest), times[:count], values[:count], graph.manifest, times[count - 1])
        except NotEnoughData:
            continue
        return count
    raise AssertionError("there never were windows enough")


def lived(graph: GraphFile, runtime: Runtime, channels: int, seed: int, begins: int, every: int) -> Iterator[float]:
    """Yield after each round the error on what was held out, as a part of persistence's; FedAvg with the task's own settings."""
    manifest, model = graph.manifest, graph.initial
    places = [_room(seed, client, channels, every) for client in range(CLIENTS)]
    end = begins + every * (ROUNDS - 1)
    held_out = [windows(times[end:], values[end:], manifest) for times, values in places]
    tested: list[float | None] = [None] * CLIENTS
    for number in range(1, ROUNDS + 1):
        strategy = create("fedavg")
        strategy.begin(model)
        config = replace(manifest.config, seed=seed)
        update = ClientUpdate(number, "room", graph.sha256, manifest.layout, "float32", "float32", model, config)
        for client, (times, values) in enumerate(places):
            count = begins + every * (number - 1)
            ready = Ready(manifest, graph.state, windows(times[:count], values[:count], manifest), WindowDoubts(), f"pi-{client}")
            result = local_run(runtime, ready, update, tested[client], None, Timing(0, 0, 0))
            tested[client] = result.tested_until
            strategy.fold(Update(f"pi-{client}", result.complete.samples, result.complete.weights, result.complete.metrics))
        model = strategy.finish()
        found = [measure(runtime, part, Model(model, graph.state).arguments(manifest)) for part in held_out]
        yield float(np.sqrt(sum(one["error"] for one in found) / sum(one["baseline"] for one in found)))


def _room(seed: int, client: int, channels: int, every: int) -> tuple[np.ndarray, np.ndarray]:
    times, values = rooms.readings(f"{seed} {client}", BEGINS + 70 + every * ROUNDS + HELD_OUT)
    values[:, channels:] = np.nan
    return times[BEGINS:], values[BEGINS:]


def main() -> list[Row]:
    graph = tasks.load("room")
    runtime, rows = Runtime(graph.flatbuffer), []
    for channels in (1, 3):
        what = "thermometers alone" if channels == 1 else "all three channels"
        begins = max(first(graph, channels, seed) for seed in SEEDS)
        rows.append(Row(f"room, {what}: first training", begins, "min", 70, "minutes of readings, one a minute"))
        for every in EVERY:
            ratios = np.array([list(lived(graph, runtime, channels, seed, begins, every)) for seed in SEEDS])
            context = f"of persistence's, {CLIENTS} clients, {ROUNDS} rounds, seeds {', '.join(map(str, SEEDS))}: "
            context += ", ".join(f"{ratio:.2f}" for ratio in ratios[:, -1])
            name = f"room, {what}, a round every {every} min"
            rows.append(Row(f"{name}: RMSE on the next day", float(ratios[:, -1].max()), "", 1.0, f"the worst seed's; {context}"))
            below = [int(np.argmax(row < 1)) + 1 if (row < 1).any() else ROUNDS + 1 for row in ratios]
            context = f"by seed {', '.join(map(str, below))}; the worst of all rounds {ratios.max():.2f}"
            rows.append(Row(f"{name}: first round below persistence", max(below), "", 10, context))
    return rows
