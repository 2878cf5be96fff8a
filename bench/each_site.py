"""Is any site worse off for taking part? Seven stations live through their year, and each goes by what did best there of late."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import year
from bench.learning import Site
from bench.table import Row
from bramble_client.hal.sim import recordings
from bramble_client.learn.fitting import Model
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import measure
from bramble_client.learn.windows import windows
from bramble_client.use.standing import BASELINE, CHOICES, GLOBAL, PERSONAL
from bramble_protocol.graph import GraphFile
from bramble_server import tasks

MOST = 1.01


@dataclass(frozen=True)
class Week:
    """What each model's mean squared error was at one site in a week, on readings that none was trained on."""

    windows: int
    errors: dict[str, float]
    in_use: str
    """What the site went by in that week, chosen before it."""


def _compared(runtime: Runtime, graph: GraphFile, week: year.Week) -> Week:
    model, own, fresh = week.model, week.own, windows(week.now.times, week.now.values, graph.manifest).since(week.tested_until)
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
    runtime = Runtime(graph.flatbuffer)
    with tempfile.TemporaryDirectory() as folder:
        for week in year.lived(graph, sites, Path(folder)):
            weeks[week.site].append(_compared(runtime, graph, week))
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
