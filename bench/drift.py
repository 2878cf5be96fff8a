"""Does a site notice that it has changed, and say nothing of weather? Seven stations, and thermometers that go wrong in their year."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.each_site import ROUNDS
from bench.learning import SEED, Site
from bench.table import Row
from bramble_client.hal.sim import recordings
from bramble_client.learn import local_state
from bramble_client.learn.plausibility import Unbelievable
from bramble_client.learn.trainer import Result, Trainer
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate
from bramble_server import tasks
from bramble_server.learning.strategies import Update, create

BROKEN = ("chicago", "miami")
WRONG_FROM = 0.6
"""Part of the year after which a thermometer goes wrong."""
Fault = Callable[[NDArray[np.float64]], NDArray[np.float64]]
FAULTS: dict[str, tuple[Fault, float | None]] = {
    "noise of 2 °C": (lambda v: v + np.random.default_rng(SEED).normal(0, 2, len(v)), 14),
    "one in twenty 10 °C too high": (lambda v: v + np.where(np.random.default_rng(SEED).random(len(v)) < 0.05, 10, 0), 30),
    "three times too steep": (lambda v: v.mean() + 3 * (v - v.mean()), 14),
}
"""Each with the days within which it must be found."""


def alarms(graph: GraphFile, sites: list[Site], folder: Path) -> dict[str, list[int]]:
    """Play the year, a round a week; return the days on which each site's alarms were raised."""
    manifest, model = graph.manifest, graph.initial
    trainers = {site.name: Trainer(folder / site.name, lambda _: graph.data, site.name) for site in sites}
    last: dict[str, Result] = {}
    found: dict[str, list[int]] = {site.name: [] for site in sites}
    for number in range(1, ROUNDS + 1):
        config = replace(manifest.config, epochs=1, seed=SEED)
        update = ClientUpdate(number, manifest.task, graph.sha256, manifest.layout, "float32", "float32", model, config)
        strategy = create("fedavg")
        strategy.begin(model)
        for site in sites:
            now, before = site.until(number * len(site.times) // ROUNDS), last.get(site.name)
            until, noted = (before.tested_until, before.local_state) if before else (None, None)
            try:
                result = last[site.name] = trainers[site.name].run(update, now.columns, until, noted=noted)
            except Unbelievable:  # it is said by that, and no answer is sent
                continue
            drift = local_state.read(result.local_state, manifest, graph.state).own.drift
            if drift.since is not None and drift.found_on not in found[site.name]:
                found[site.name].append(drift.found_on)
            strategy.fold(Update(site.name, result.complete.samples, result.complete.weights, result.complete.metrics))
        model = strategy.finish()
    return found


def broken(site: Site, fault: Fault) -> Site:
    values, wrong = site.values.copy(), round(WRONG_FROM * len(site.times))
    values[wrong:, 0] = fault(values[wrong:, 0])
    return replace(site, values=values)


def main() -> list[Row]:
    graph = tasks.load("climate")
    sites = [Site.load(name, graph) for name in recordings.builtin()]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        quiet = alarms(graph, sites, Path(folder))
        rows.append(Row("Alarms in seven years of weather", sum(map(len, quiet.values())), "", 1, ", ".join(quiet)))
        for name, (fault, within) in FAULTS.items():
            hurt = [broken(site, fault) if site.name in BROKEN else site for site in sites]
            found = alarms(graph, hurt, Path(folder))
            began = {site.name: int(site.times[round(WRONG_FROM * len(site.times))] // 86400) for site in sites}
            after = {site: [day - began[site] for day in days if day >= began[site]] for site, days in found.items()}
            others = sum(len(days) for site, days in after.items() if site not in BROKEN)
            late = {site: min(after[site], default=365) for site in BROKEN}
            told = ", ".join(f"{site} after {days} days" for site, days in late.items())
            rows.append(Row(f"Days until found: {name}", max(late.values()), "days", within, f"{told}; {others} alarms at the five others"))
    return rows
