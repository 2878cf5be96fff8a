"""What slow clients cost in simulated time: rounds that wait for all, for most of those that they asked, and for nobody in particular."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.table import Row
from bramble.simulation import places
from bramble.simulation.asynchronous import simulation_of
from bramble.simulation.places import Stretch
from bramble.simulation.scenario import Scenario
from bramble.simulation.workers import Threads
from bramble_server import foundation
from bramble_server.settings import Alone

CLIENTS, SEEDS, TRIED = 50, (1, 2, 3, 4, 5), 0
BELOW = 0.3
"""How far below persistence's error the target is."""
Cell = tuple[float, int, float]
GRID: tuple[Cell, ...] = tuple(itertools.product((0.05, 0.1, 0.2), (1, 3), (0.3, 1.0)))
"""Clients' learning rates, local epochs and the server's learning rate, the same for all, tried with another seed than is shown."""
MOST = {"synchronous": 40, "over-selected": 60, "asynchronous": 400}
"""Rounds after which it is given up."""
SIDES: dict[str, dict[str, Any]] = {
    "synchronous": {"deadline": 1e4},
    "over-selected": {"clients_per_round": 38, "over_selection": 1.3, "deadline": 1e4},
    "asynchronous": {"discipline": "asynchronous", "buffer": 10, "max_staleness": 100, "deadline": 1e4},
}
PROMISED = {"over-selected": 2.0, "asynchronous": 6.0}
"""How many times sooner than synchronous ones, where who is slow changes from round to round."""
AT_RANDOM = Scenario(slow=0.2, slow_times=10, slow_by="round")
BY_SITE = Scenario(slow=0.2, slow_times=10, slow_by="place")


@dataclass(frozen=True)
class Reached:
    """When a fleet's model was as good as is wanted."""

    seconds: float
    by_place: dict[str, float]


Found = dict[str, list[Reached]]
"""By side and seed."""


@functools.cache
def stretches() -> tuple[Stretch, ...]:
    """What each client knows."""
    [built] = foundation.read(Alone(task=("climate",), min_clients=1))
    return tuple(places.share(places.read(None, built.graph.manifest), CLIENTS)[0])


def reached(side: str, cell: Cell, seed: int, scenario: Scenario) -> Reached:
    """Have a fleet learn until its model's error is below the target; for ever, where it is not after the most rounds."""
    rate, epochs, whole = cell
    strategy: dict[str, Any] = {"strategy": "fedavgm", "strategy_option": {"momentum": 0.0, "learning_rate": whole}}
    [built] = foundation.read(Alone(task=("climate",), min_clients=1, learning_rate=rate, epochs=epochs, **strategy, **SIDES[side]))
    with closing(Threads(built.graph, 2)) as workers:
        simulation = simulation_of(built)(built, stretches(), scenario, seed, workers)
        for played in simulation.play(MOST[side]):
            if played.error <= (1 - BELOW) * played.baseline:
                return Reached(played.ended, dict(played.by_place))
    return Reached(float("inf"), dict(played.by_place))


def slow_sites(seed: int) -> set[str]:
    """Return the places whose clients are slow by a seed."""
    found = {stretch.place.name for stretch in stretches()}
    return {name for name in found if BY_SITE.takes("", name, 1, seed) > 5 * BY_SITE.training_s}


def some_slow(count: int) -> list[int]:
    """Return the first seeds by which one place or two are slow."""

    def good() -> Iterator[int]:
        yield from (seed for seed in itertools.count(1) if 1 <= len(slow_sites(seed)) <= 2)

    return list(itertools.islice(good(), count))


def main() -> list[Row]:
    logging.getLogger("bramble_client").setLevel(logging.ERROR)
    best = {side: min(GRID, key=lambda cell: reached(side, cell, TRIED, AT_RANDOM).seconds) for side in SIDES}
    rows = []
    for name, scenario, seeds, judged in (
        ("at random", AT_RANDOM, list(SEEDS), True),
        ("whole sites", BY_SITE, some_slow(len(SEEDS)), False),
    ):
        found = {side: [reached(side, best[side], seed, scenario) for seed in seeds] for side in SIDES}
        for side, limit in PROMISED.items():
            what = f"one client in five ten times slower, {name}: {side} sooner at {100 * BELOW:.0f} % below persistence"
            rows.append(_sooner(what, found, side, seeds, best, limit if judged else None))
            if not judged:
                rows.append(_own(side, seeds, found))
    return rows


def _sooner(what: str, found: Found, side: str, seeds: list[int], best: dict[str, Cell], limit: float | None) -> Row:
    times = [waiting.seconds / other.seconds for waiting, other in zip(found["synchronous"], found[side], strict=True)]
    seconds = [float(np.median([each.seconds for each in found[one]])) for one in ("synchronous", side)]
    chosen = ", ".join(
        f"{one} learning rate {best[one][0]}, {best[one][1]} epochs, the server's {best[one][2]}" for one in ("synchronous", side)
    )
    context = (
        f"{seconds[0]:.0f} s against {seconds[1]:.0f} s; median of seeds {', '.join(map(str, seeds))}, {min(times):.1f} to "
        f"{max(times):.1f}; {chosen}, best of {len(GRID)} cells each with seed {TRIED}"
    )
    return Row(what, float(np.median(times)), "times", limit, context, bound="at least")


def _own(side: str, seeds: list[int], found: Found) -> Row:
    dearer = [
        100 * (np.mean([other.by_place[site] for site in slow]) / np.mean([waiting.by_place[site] for site in slow]) - 1)
        for waiting, other, slow in zip(found["synchronous"], found[side], map(slow_sites, seeds), strict=True)
    ]
    context = f"of both models as they reach the target; median of {len(seeds)} seeds, {min(dearer):.1f} to {max(dearer):.1f} %"
    return Row(f"slow sites' own error, {side} above synchronous", float(np.median(dearer)), "%", 5, context)
