"""Does the fleet learn? Five climates, the real trainer and FedAvg, against persistence and against training in one place."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.table import Row
from bramble_client.hal.sim import recordings
from bramble_client.learn.fitting import Model, Run, minibatches
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import Trainer, measure
from bramble_client.learn.windows import Windows, windows
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate
from bramble_server import tasks
from bramble_server.learning.strategies import Update, create

SITES = ("chicago", "greensboro", "miami", "sand-point", "tucson")
ROUNDS = 20
HELD_OUT = 0.1
"""The last part of each year: never trained on, and no window reaches into it from before."""
DEMO_ROUNDS = 10
SEED = 0


@dataclass(frozen=True)
class Site:
    """A station's year, cut into what its client records and what nobody trains on."""

    name: str
    times: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def load(cls, name: str, graph: GraphFile) -> Site:
        """Read a recording at the task's step."""
        recording, step = recordings.load(recordings.builtin()[name]), graph.manifest.step_s
        times = np.asarray(recording.first + step * np.arange(round(recording.duration / step)), np.float64)
        keys = [channel.key for channel in graph.manifest.channels]
        return cls(name, times, np.array([[recording.at(t)[key] for key in keys] for t in times], np.float64))

    @property
    def cut(self) -> int:
        """Number of readings before the held-out part."""
        return round(len(self.times) * (1 - HELD_OUT))

    def until(self, count: int) -> Site:
        """Return the first readings only."""
        return Site(self.name, self.times[:count], self.values[:count])

    def columns(self, keys: Sequence[str], since: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Answer as a client's recorder does."""
        return self.times, self.values


class Fleet:
    """One real trainer for each site, and the server's FedAvg between them."""

    def __init__(self, graph: GraphFile, folder: Path) -> None:
        self.graph = graph
        self.model = graph.initial
        self.trainers = {name: Trainer(folder / name, lambda _: graph.data, name) for name in SITES}
        self.tested: dict[str, float | None] = dict.fromkeys(SITES)

    def round(self, number: int, sites: Sequence[Site]) -> list[dict[str, float]]:
        """Play one round of one local epoch; return each client's metrics."""
        manifest = self.graph.manifest
        config = replace(manifest.config, epochs=1, seed=SEED)
        update = ClientUpdate(number, manifest.task, self.graph.sha256, manifest.layout, "float32", "float32", self.model, config)
        strategy = create("fedavg")
        strategy.begin(self.model)
        metrics = []
        for site in sites:
            result = self.trainers[site.name].run(update, site.columns, self.tested[site.name])
            self.tested[site.name] = result.tested_until
            strategy.fold(Update(site.name, result.complete.samples, result.complete.weights, result.complete.metrics))
            metrics.append(dict(result.complete.metrics))
        self.model = strategy.finish()
        return metrics


def central(graph: GraphFile, runtime: Runtime, data: Sequence[Windows], steps: int) -> Weights:
    """Train the same model from the same start on all sites' windows in one place."""
    manifest, config = graph.manifest, graph.manifest.config
    inputs, targets = (
        {name: np.concatenate([getattr(part, kind)[name] for part in data]) for name in getattr(data[0], kind)}
        for kind in ("inputs", "targets")
    )
    pooled = Windows(inputs, targets, np.concatenate([part.time for part in data]))
    config = replace(config, epochs=-(-steps * config.batch_size // len(pooled)))
    idx, sw = minibatches(len(pooled), config, np.random.default_rng(SEED).permutation)
    run = Run(runtime, manifest, pooled, Model(graph.initial, graph.state), (idx[:steps], sw[:steps]), config)
    run.advance(steps)
    return run.model.weights


def rmse(graph: GraphFile, runtime: Runtime, data: Sequence[Windows], model: Weights, kind: str = "error") -> NDArray[np.float64]:
    """Root mean squared error at each site, °C."""
    weights = Model(model, graph.state).arguments(graph.manifest)
    return np.sqrt([measure(runtime, part, weights)[kind] for part in data])


def main() -> list[Row]:
    graph = tasks.load("climate")
    runtime = Runtime(graph.flatbuffer)
    sites = [Site.load(name, graph) for name in SITES]
    known = [site.until(site.cut) for site in sites]
    training = [windows(site.times, site.values, graph.manifest) for site in known]
    held_out = [windows(site.times[site.cut :], site.values[site.cut :], graph.manifest) for site in sites]
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(graph, Path(folder))
        for number in range(1, ROUNDS + 1):
            fleet.round(number, known)
        demo = Fleet(graph, Path(folder))
        lived = [demo.round(n, [site.until(n * len(site.times) // DEMO_ROUNDS) for site in sites]) for n in range(1, DEMO_ROUNDS + 1)]

    steps = ROUNDS * max(-(-len(part) // graph.manifest.config.batch_size) for part in training)
    together, longer = (rmse(graph, runtime, held_out, central(graph, runtime, training, n)) for n in (steps, steps * len(SITES)))
    fleets = rmse(graph, runtime, held_out, fleet.model)
    persistence = rmse(graph, runtime, held_out, fleet.model, "baseline")
    gain = 100 * (1 - fleets.mean() / persistence.mean())
    context = f"{fleets.mean():.2f} °C against {persistence.mean():.2f} °C, mean over {len(SITES)} sites, {ROUNDS} rounds of one epoch"
    rows = [Row("Held-out RMSE below persistence", gain, "%", 25, context, bound="at least")]
    for name, ours, nothing in zip(SITES, fleets, persistence, strict=True):
        winner = "" if ours < nothing else ", which wins here"
        rows.append(Row(f"{name}: held-out RMSE", ours, "°C", ratio_of=f"persistence {nothing:.2f} °C{winner}"))
    for name, ours, theirs, most in zip(SITES, fleets, together, longer, strict=True):
        context = f"one place, {steps} steps: {theirs:.2f} °C ({steps * len(SITES)} steps: {most:.2f} °C)"
        rows.append(Row(f"{name}: RMSE, fleet to one place", ours / theirs, "", 1.1, context))
    return [*rows, first_below(lived)]


def first_below(rounds: Sequence[Sequence[dict[str, float]]]) -> Row:
    """Say from which round on the pooled test-then-train error stays below persistence, while the fleet lives through the year."""
    pooled = [{kind: pool(clients, f"test_{kind}") for kind in ("error", "baseline")} for clients in rounds]
    worse = [number for number, means in enumerate(pooled, 1) if means["error"] >= means["baseline"]]
    last = f"round {len(rounds)}: {pooled[-1]['error'] ** 0.5:.2f} °C against {pooled[-1]['baseline'] ** 0.5:.2f} °C"
    return Row("Test-then-train below persistence from round", max(worse, default=0) + 1, "", DEMO_ROUNDS, f"a year in ten rounds; {last}")


def pool(clients: Sequence[dict[str, float]], name: str) -> float:
    """Mean of a test measure over all clients' new windows."""
    return sum(client[name] * client["test_samples"] for client in clients) / sum(client["test_samples"] for client in clients)
