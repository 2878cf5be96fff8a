"""Is any site worse off for taking part? Seven stations live through their year, and each goes by what did best there of late."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.learning import SEED, Site
from bench.table import Row
from bramble_client.hal.sim import recordings
from bramble_client.learn import local_state
from bramble_client.learn.fitting import Model
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import Result, Trainer, measure
from bramble_client.learn.windows import windows
from bramble_client.use.own import Own
from bramble_client.use.standing import BASELINE, CHOICES, GLOBAL, PERSONAL
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate
from bramble_server import tasks
from bramble_server.learning.strategies import Update, create

ROUNDS = 52
"""A week each: what comes next is forecast with what was in use before it."""
MOST = 1.01


@dataclass(frozen=True)
class Week:
    """What each model's mean squared error was at one site in a week, on readings that none was trained on."""

    windows: int
    errors: dict[str, float]
    in_use: str
    """What the site went by in that week, chosen before it."""


def played(graph: GraphFile, sites: list[Site], folder: Path) -> Iterator[tuple[str, Week]]:
    """Play the year; yield each site's weeks in their order."""
    manifest, runtime, model = graph.manifest, Runtime(graph.flatbuffer), graph.initial
    trainers = {site.name: Trainer(folder / site.name, lambda _: graph.data, site.name) for site in sites}
    last: dict[str, Result] = {}
    for number in range(1, ROUNDS + 1):
        config = replace(manifest.config, epochs=1, seed=SEED)
        update = ClientUpdate(number, manifest.task, graph.sha256, manifest.layout, "float32", "float32", model, config)
        strategy = create("fedavg")
        strategy.begin(model)
        for site in sites:
            now, before = site.until(number * len(site.times) // ROUNDS), last.get(site.name)
            until, noted = (before.tested_until, before.local_state) if before else (None, None)
            own = local_state.read(noted, manifest, graph.state).own
            if week := _week(runtime, graph, now, until, model, own):
                yield site.name, week
            result = trainers[site.name].run(update, now.columns, until, noted=noted)
            last[site.name] = result
            strategy.fold(Update(site.name, result.complete.samples, result.complete.weights, result.complete.metrics))
        model = strategy.finish()


def _week(runtime: Runtime, graph: GraphFile, site: Site, until: float | None, model: Weights, own: Own) -> Week | None:
    fresh = windows(site.times, site.values, graph.manifest).since(until)
    chosen, weights = own.weights(model)
    models = {GLOBAL: model, PERSONAL: model if own.personal is None else own.personal, "chosen": model if weights is None else weights}
    found = {name: measure(runtime, fresh, Model(each, graph.state).arguments(graph.manifest)) for name, each in models.items()}
    errors = {name: means["error"] for name, means in found.items()} | {BASELINE: found[GLOBAL]["baseline"]}
    if weights is None:
        errors["chosen"] = errors[BASELINE]
    return Week(len(fresh), errors, chosen)


def main() -> list[Row]:
    graph = tasks.load("climate")
    sites = [Site.load(name, graph) for name in recordings.builtin()]
    weeks: dict[str, list[Week]] = {site.name: [] for site in sites}
    with tempfile.TemporaryDirectory() as folder:
        for name, week in played(graph, sites, Path(folder)):
            weeks[name].append(week)
    return [_row(name, found) for name, found in weeks.items()]


def _row(name: str, weeks: list[Week]) -> Row:
    count, kinds = sum(week.windows for week in weeks), (BASELINE, GLOBAL, PERSONAL, "chosen")
    rmse = {kind: (sum(week.errors[kind] * week.windows for week in weeks) / count) ** 0.5 for kind in kinds}
    used = Counter(week.in_use for week in weeks)
    shares = ", ".join(f"{kind} {used[kind]}" for kind in CHOICES if used[kind])
    told = ", ".join(f"{kind} {rmse[kind]:.3f}" for kind in (BASELINE, GLOBAL, PERSONAL))
    best = min(rmse[kind] for kind in (BASELINE, GLOBAL, PERSONAL))
    context = f"{rmse['chosen']:.3f} °C; {told}; weeks by what was in use: {shares}"
    return Row(f"{name}: error in use, of the best of three", rmse["chosen"] / best, "", MOST, context)
