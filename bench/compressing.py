"""What codecs of few bytes cost: simulated fleets that differ by how their updates travel, each codec at its own best learning rate."""

from __future__ import annotations

import logging
import os
import statistics
from collections.abc import Iterable, Sequence
from contextlib import closing

from bench.table import Row
from bramble.simulation import places
from bramble.simulation.rounds import Simulation
from bramble.simulation.scenario import Scenario
from bramble.simulation.workers import Threads
from bramble_protocol import codecs, sections
from bramble_protocol.layout import Layout
from bramble_server import foundation
from bramble_server.learning import codec
from bramble_server.settings import Alone

CLIENTS, SEEDS = 35, (1, 2, 3, 4, 5)
EARLY, LATE = 20, 60
TIMES = (0.5, 1.0, 2.0)
"""Learning rates, in parts of the task's own, that each codec is tried with, on a seed that counts for nothing."""
CODECS = {"delta-int8": (0.26, 1.0), "topk": (0.021, 3.0)}
"""Of each the most bytes, as a part of float32's, and the most error after ``EARLY`` rounds, in percent above it, that are promised."""
PLAIN = "float32"


class Fleet:
    """What all runs have in common."""

    def __init__(self, workers: int) -> None:
        [built] = foundation.read(Alone(task=("climate",), min_clients=1))
        self.layout, self._config = built.graph.manifest.layout, built.graph.manifest.config
        self._stretches, _ = places.share(places.read(None, built.graph.manifest), CLIENTS)
        self.workers = Threads(built.graph, workers)

    def errors(self, name: str, times: float, seed: int, rounds: int) -> list[float]:
        """Return the error on what was held out after each round, mean over all windows."""
        rate = times * self._config.learning_rate
        [built] = foundation.read(Alone(task=("climate",), min_clients=1, codec=name, learning_rate=rate))
        return [played.error for played in Simulation(built, self._stretches, Scenario(), seed, self.workers).play(rounds)]

    def best(self, name: str) -> float:
        """Return the learning rate, in parts of the task's own, with which a codec comes furthest in ``EARLY`` rounds."""
        return min(TIMES, key=lambda times: self.errors(name, times, 0, EARLY)[-1])


def attachment(layout: Layout, name: str) -> int:
    """Return the bytes of an answer's attachment, all of it."""
    encoding = codec.named(name, {}).encoding
    return len(sections.pack([("weights", encoding, bytes(codecs.encoded_size(layout, encoding)))]))


def dearer(found: Iterable[Sequence[float]], plain: Iterable[Sequence[float]], after: int) -> list[float]:
    """Return by how many percent the error is above float32's of the same seed, after so many rounds."""
    return [100 * (mine[after - 1] / theirs[after - 1] - 1) for mine, theirs in zip(found, plain, strict=True)]


def main() -> list[Row]:
    logging.getLogger("bramble_client").setLevel(logging.ERROR)
    fleet, rows = Fleet(len(os.sched_getaffinity(0))), []
    with closing(fleet.workers):
        rate = fleet.best(PLAIN)
        plain = [fleet.errors(PLAIN, rate, seed, LATE) for seed in SEEDS]
        whole = attachment(fleet.layout, PLAIN)
        for name, (most_bytes, most_error) in CODECS.items():
            size, mine = attachment(fleet.layout, name), fleet.best(name)
            found = [fleet.errors(name, mine, seed, LATE) for seed in SEEDS]
            about = f"{size:,} of {whole:,} bytes, sections' table and all, for {fleet.layout.size:,} weights"
            rows.append(Row(f"{name}: attachment of an answer, of float32's", size / whole, "", most_bytes, about))
            for after, limit in ((EARLY, most_error), (LATE, None)):
                more = dearer(found, plain, after)
                errors = [statistics.median(each[after - 1] for each in runs) for runs in (found, plain)]
                about = (
                    f"{errors[0]:.3f} °C against {errors[1]:.3f} °C; median of seeds {SEEDS[0]} to {SEEDS[-1]}, {min(more):.2f} to "
                    f"{max(more):.2f} %; "
                    f"learning rate {mine:g} and {rate:g} times the task's"
                )
                rows.append(Row(f"{name}: held-out error above float32's, {after} rounds", statistics.median(more), "%", limit, about))
    return rows
