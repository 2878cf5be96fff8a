"""What labels for a quarter of the windows are worth, those that the client asks about, beside labels for all of them."""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np

from bench.activity import Ready, accuracy, averaged, begin, joined, of, steps_of, train
from bench.table import Row
from bramble.simulation.workers import Threads
from bramble_client.learn.fitting import Model
from bramble_client.learn.runtime import Graph
from bramble_client.learn.windows import Windows
from bramble_client.recordings.exercises import people
from bramble_client.use.asking import Asking
from bramble_client.use.attention import SHARE
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Weights
from bramble_server import tasks

SEEDS = 3
PARTS, ROUNDS = 15, (30, 60)
"""Rounds while the windows come, and in all when it is looked at: soon afterwards, and when nothing more is gained."""
LAST = 5
"""Rounds over whose models the accuracy is averaged: that of one swings by a point or two."""
LABELS = 0.25
"""The part of the windows that are labelled on a budget."""


def budgeted(ready: Ready, seed: int, all_labels: bool) -> tuple[list[float], float]:
    """Let everybody live through the first session in ``PARTS`` rounds, and go on.

    Each window is labelled, or those alone that the client asks about with the model of the last round.

    Returns
    -------
    tuple
        For each of ``ROUNDS`` the accuracy of the last rounds' models on everybody's second session, and which part of the windows was
        labelled.
    """
    first, second = zip(*(_sessions(data) for data in ready.data.values()), strict=True)
    order = [np.random.default_rng((seed, i)).permutation(len(own)) for i, own in enumerate(first)]
    asking = [Asking(daily=len(own), share=SHARE) for own in first]
    labels = [np.zeros(len(own), bool) for own in first]
    model, test, found = begin(ready.graph, seed), joined(second), []
    for number in range(ROUNDS[-1]):
        trained = []
        for i, own in enumerate(first):
            for row in np.array_split(order[i], PARTS)[number] if number < PARTS else ():
                asks = all_labels or (
                    labels[i].sum() < LABELS * len(own) and asking[i].about(_probabilities(ready, own, int(row), model), 0.0)
                )
                labels[i][row] |= asks
            some = own[labels[i]]
            trained.append((len(some), train(ready, some, model, steps_of(ready, own), (seed, number, i))))
        model = averaged(model, trained)
        looked_at = any(end - LAST <= number < end for end in ROUNDS)
        found.append(accuracy(ready, test, model) if looked_at else np.nan)
    return [float(np.mean(found[end - LAST : end])) for end in ROUNDS], float(np.mean(np.concatenate(labels)))


def _sessions(data: Windows) -> tuple[Windows, Windows]:
    cut = round(0.87 * len(data))
    return data[:cut], data[cut:]


def _probabilities(ready: Ready, data: Windows, row: int, model: Weights) -> list[float]:
    found = ready.runtime("infer", **data[row : row + 1].inputs, **Model(model, ready.graph.state).arguments(ready.graph.manifest))
    return [float(each) for each in found[ready.graph.manifest.interface.outputs[0].name][0]]


def _tried(runtime: Graph, graph: GraphFile, data: dict[str, Windows], job: tuple[int, bool]) -> list[float]:
    accuracies, share = budgeted(Ready(graph, runtime, data), *job)
    return [*accuracies, share]


def main() -> list[Row]:
    graph = tasks.load("activity")
    data = {name: of(person, graph.manifest) for name, person in people().items()}
    tried = [(seed, every) for every in (False, True) for seed in range(SEEDS)]
    with closing(Threads(graph, os.cpu_count() or 1)) as threads:
        found = 100 * np.array(list(threads.map(_tried, (((data,), job) for job in tried)))).reshape(2, SEEDS, len(ROUNDS) + 1)
    rows = []
    for i, rounds in enumerate(ROUNDS):
        cheap, dear = found[:, :, i]
        by_seed = ", ".join(f"{each:.1f}" for each in dear - cheap)
        context = (
            f"{cheap.mean():.1f} % against {dear.mean():.1f} % on everybody's second session, mean of the last {LAST} of {rounds} rounds "
            f"of as many steps; {found[0, :, -1].mean():.0f} % of the windows labelled; by seed {by_seed}"
        )
        name = f"Points of accuracy lost by labels for a quarter, {rounds} rounds"
        rows.append(Row(name, float(np.mean(dear - cheap)), "", 2, context))
    return rows
