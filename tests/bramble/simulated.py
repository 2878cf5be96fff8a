"""Simulations for tests: the climates that come with Bramble, shortened, and recordings that are made up."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bramble.simulation import places
from bramble.simulation.asynchronous import simulation_of
from bramble.simulation.attacks import Attackers
from bramble.simulation.places import Place, Stretch
from bramble.simulation.rounds import Played, Simulation
from bramble.simulation.scenario import Scenario
from bramble.simulation.workers import Threads
from bramble_server import foundation, tasks
from bramble_server.foundation import Foundation
from bramble_server.learning.judge import Judge
from bramble_server.settings import Alone

MANIFEST = tasks.load("climate").manifest


@functools.cache
def everywhere() -> list[Place]:
    """The places that come with Bramble: read once, and not by who runs none of these tests."""
    return places.read(None, MANIFEST)


def built(**settings: Any) -> Foundation:
    [found] = foundation.read(Alone(**{"min_clients": 1, **settings}))
    return found


def stretches(clients: int) -> list[Stretch]:
    return places.share(everywhere(), clients, 60)[0]


def simulated(
    clients: int = 7, rounds: int = 2, scenario: Scenario | None = None, seed: int = 1, count: int = 2,
    attackers: Attackers | None = None, judge: Judge | None = None, **settings: Any,
) -> tuple[Simulation, list[Played]]:  # fmt: skip
    base = built(**settings)
    workers = Threads(base.graph, count)
    try:
        theirs = [shorter(each) for each in stretches(clients)]
        simulation = simulation_of(base)(base, theirs, scenario or Scenario(), seed, workers, attackers, judge)
        return simulation, list(simulation.play(rounds))
    finally:
        workers.close()


def shorter(stretch: Stretch, windows: int = 60) -> Stretch:
    return replace(stretch, stop=min(stretch.stop, stretch.start + windows))


def recorded(path: Path, hours: int = 200, columns: str = "temperature,humidity,pressure", phase: float = 0.0) -> None:
    rows = [f"{1_700_000_000 + 3600 * hour},{20 + 5 * np.sin(phase + hour / 4):.2f},50,1000".split(",") for hour in range(hours)]
    wide = 1 + columns.count(",") + 1
    path.write_text(f"time,{columns}\n" + "\n".join(",".join(row[:wide]) for row in rows) + "\n")
