"""What liars cost a fleet: twenty clients of ``climate``, of whom four send their update flipped and five times larger.

Each strategy, FedAvg too, learns at the rate of ``RATES`` with which it ended best in draws that are not among those that are told.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import Any, Literal

import numpy as np

from bench.learning import SITES, Site, rmse
from bench.table import Row
from bramble_client.learn.fitting import Model, Run, minibatches
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.windows import Windows, windows
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Weights
from bramble_protocol.messages import TrainConfig
from bramble_server import tasks
from bramble_server.learning.judge import Judge, Report
from bramble_server.learning.strategies import Update, create, shorten

STRETCHES = 4
"""Parts of a station's year, each the life of one client."""
ROUNDS, LIARS, LOUD = 100, 4, 5
RATES, TUNING = (0.03, 0.1), (101, 102)
"""The clients' learning rates that are tried, and the draws in which they are."""
SEEDS = range(1, 10)
"""Draws of who lies: what it costs depends on that, by a factor of four."""
PROMISED: dict[str, dict[str, Any]] = {
    "median": {},
    "trimmedmean": {"share": 0.2},
    "rfa": {},
    "normbound": {"bound": 0.2},  # of 0.02, 0.05, 0.1, 0.2 and 0.5, each tried with draws of TUNING
}
KRUM = {name: {"liars": LIARS} for name in ("krum", "multikrum")}
Rates = dict[str, float]
"""Learning rates by strategy."""


@dataclass
class Play:
    """A fleet that learns by the steps of real clients, from the same start with the same minibatches whoever aggregates."""

    graph: GraphFile
    runtime: Runtime
    data: Sequence[Windows]
    held_out: Sequence[Windows]

    def error(
        self, name: str, options: dict[str, Any], rate: float, seed: int, liars: int, judged: bool = False, known: bool = False
    ) -> float:
        """Return the held-out error after the last round, mean over the stations.

        Parameters
        ----------
        rate
            The clients' learning rate.
        judged
            Whether the server's judge comes before the strategy, as it does in a server.
        known
            Whether who lies is left out, as nobody could know: what is missing then went with what the liars measured.
        """
        lying = {f"pi-{client:02}" for client in np.random.default_rng([seed, 3]).permutation(len(self.data))[:liars]}
        model, judge = self.graph.initial, Judge()
        config = replace(self.graph.manifest.config, learning_rate=rate)
        for number in range(1, ROUNDS + 1):
            updates = self._trained(model, config, seed, number)
            for client in lying:
                if known:
                    del updates[client]
                    continue
                updates[client] = model - np.float32(LOUD) * (updates[client] - model)
            reports = [Report(client, float(np.linalg.norm(weights - model)), 1, {}) for client, weights in updates.items()]
            verdicts = judge.verdicts(reports, float(np.linalg.norm(model)))
            strategy = create(name, **options)
            strategy.begin(model)
            for client in updates:
                if judged:
                    shorten(updates[client], model, verdicts[client].reach)
                if not judged or verdicts[client].reason is None:
                    strategy.fold(Update(client, len(self.data[int(client[3:])]), updates[client]))
            model = strategy.finish()
        return float(rmse(self.graph, self.runtime, self.held_out, model).mean())

    def _trained(self, model: Weights, config: TrainConfig, seed: int, number: int) -> dict[str, Weights]:
        updates = {}
        for client, own in enumerate(self.data):
            shuffle = np.random.default_rng([seed, number, client]).permutation
            run = Run(
                self.runtime, self.graph.manifest, own, Model(model, self.graph.state), minibatches(len(own), config, shuffle), config
            )
            run.advance(run.left)
            updates[f"pi-{client:02}"] = run.model.weights.copy()
        return updates


def ready(stretches: int) -> Play:
    """Prepare the stations' years, each cut into so many clients' lives, and what nobody trains on."""
    graph = tasks.load("climate")
    sites = [Site.load(name, graph) for name in SITES]
    data, held_out = [], []
    for site in sites:
        edges = np.linspace(0, site.cut, stretches + 1).astype(int)
        data += [windows(site.times[a:b], site.values[a:b], graph.manifest) for a, b in itertools.pairwise(edges)]
        held_out.append(windows(site.times[site.cut :], site.values[site.cut :], graph.manifest))
    return Play(graph, Runtime(graph.flatbuffer), data, held_out)


def tried(case: tuple[str, float, int]) -> float:
    """Return the error that a strategy ends with at a rate in a draw: FedAvg with nobody who lies, the others with all liars."""
    name, rate, seed = case
    options = {**PROMISED, **KRUM}.get(name)
    return ready(STRETCHES).error(name, options or {}, rate, seed, 0 if options is None else LIARS)


def tuned(pool: ProcessPoolExecutor) -> Rates:
    """Return with which rate each strategy ends best."""
    cases = [(name, rate, seed) for name in ("fedavg", *PROMISED, *KRUM) for rate in RATES for seed in TUNING]
    total: dict[tuple[str, float], float] = {}
    for (name, rate, _), error in zip(cases, pool.map(tried, cases), strict=True):
        total[name, rate] = total.get((name, rate), 0.0) + error
    return {name: min(RATES, key=lambda rate: total[name, rate]) for name, _ in total}


def trial(rates: Rates, seed: int) -> dict[str, float]:
    """Return the error that each fleet ends with, by what it goes by and how many lie."""
    many, few = ready(STRETCHES), ready(1)

    def last(play: Play, name: str, options: dict[str, Any], liars: int, **how: bool) -> float:
        return play.error(name, options, rates[name], seed, liars, **how)

    found = {f"fedavg {liars}": last(many, "fedavg", {}, liars) for liars in (0, LIARS)}
    found |= {f"{name} {liars}": last(many, name, options, liars) for name, options in PROMISED.items() for liars in (0, LIARS)}
    found |= {f"{name} {LIARS}": last(many, name, options, LIARS) for name, options in KRUM.items()}
    found["honest"] = last(many, "fedavg", {}, LIARS, known=True)
    found["judge"] = last(many, "fedavg", {}, LIARS, judged=True)
    found["five"] = last(few, "fedavg", {}, 0)
    return found | {f"{name} of five": last(few, name, options, 1) for name, options in PROMISED.items()}


def main() -> list[Row]:
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool:
        rates = tuned(pool)
        trials = list(pool.map(partial(trial, rates), SEEDS))

    def row(what: str, key: str, clean: str, limit: float | None = None, bound: Literal["at most", "at least"] = "at most") -> Row:
        dearer = [100 * (found[key] / found[clean] - 1) for found in trials]
        spread = f"median of {len(SEEDS)} seeds, {min(dearer):.2f} to {max(dearer):.2f} %"
        error = np.median([found[key] for found in trials]), np.median([found[clean] for found in trials])
        context = f"{error[0]:.3f} °C against {error[1]:.3f} °C of FedAvg's clean run; {spread}"
        return Row(f"{what}: held-out error above the clean run's", float(np.median(dearer)), "%", limit, context, bound=bound)

    rows = [row(f"fedavg at {rates['fedavg']:g}, {LIARS} of 20 lie", f"fedavg {LIARS}", "fedavg 0", 100, "at least")]
    rows.append(row(f"fedavg of the others, {LIARS} of 20 lie and are known", "honest", "fedavg 0"))
    for name, options in PROMISED.items():
        called = " ".join([name, *(f"{key}={value}" for key, value in options.items()), f"at {rates[name]:g}"])
        rows.append(row(f"{called}, {LIARS} of 20 lie", f"{name} {LIARS}", "fedavg 0", 5))
        rows.append(row(f"{called}, nobody lies", f"{name} 0", "fedavg 0", 3))
    rows += [row(f"{name} liars={LIARS} at {rates[name]:g}, {LIARS} of 20 lie", f"{name} {LIARS}", "fedavg 0") for name in KRUM]
    rows.append(row(f"fedavg behind the server's judge, {LIARS} of 20 lie", "judge", "fedavg 0"))
    return rows + [row(f"{name}, 1 of 5 lies", f"{name} of five", "five") for name in PROMISED]
