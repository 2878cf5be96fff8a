"""What a privacy budget costs: ``climate`` with 100 simulated clients at an epsilon of 8 over 20 rounds, against no noise."""

from __future__ import annotations

import os
import statistics

from bench.table import Row
from bramble.settings import SimulateSettings
from bramble.simulation.run import Run
from bramble_protocol.accountant import Release, epsilon, noise_for

CLIENTS, ROUNDS, EPSILON, DELTA, SEEDS = 100, 20, 8.0, 1e-5, range(5)


def main() -> list[Row]:
    noise = noise_for(EPSILON, DELTA, ROUNDS)
    options = {"noise_multiplier": noise, "quantile": 0.5}
    pairs = [(_error(seed, "fedavg", {}), _error(seed, "dp", options)) for seed in SEEDS]
    dearer = [100 * (noisy / plain - 1) for plain, noisy in pairs]
    said = "; ".join(f"seed {seed}: {noisy:.3f} against {plain:.3f} °C" for seed, (plain, noisy) in zip(SEEDS, pairs, strict=True))
    spent = epsilon({Release(noise): ROUNDS}, DELTA)
    budget = f"noise multiplier {noise:.4g}, {spent:.3f} spent at a delta of {DELTA:g}"
    return [
        Row(f"{CLIENTS} clients, epsilon {EPSILON:g}: held-out error above none's", statistics.mean(dearer), "%", ratio_of=said),
        Row("budget after the last round", spent, "", EPSILON, budget),
    ]


def _error(seed: int, strategy: str, options: dict[str, float]) -> float:
    workers = len(os.sched_getaffinity(0))
    run = Run(SimulateSettings(clients=CLIENTS, rounds=ROUNDS, seed=seed, workers=workers, strategy=strategy, strategy_option=options))
    return float(run.play(lambda _: None).summary["error"])
