"""Trainings a second of ``bramble simulate`` and of Flower's simulation engine, on one model in numpy: bench/peers/numpy_model.py.

Bramble's rounds, messages and strategy are all there, and only the local run is another: its clients are trained by numpy rather than by
TensorFlow Lite. Both average all of their clients in each round. Starts are apart, and Bramble scores each model besides.

An engine can only save what is not training. So it is told, too, how much of what numpy alone reaches ours leaves; and where that is less
than ten times Flower's rate, as with an epoch of 16 steps, no engine can be ten times as fast, and no such limit is set.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np

from bench.apart import PEERS, environment
from bench.asked import Refused
from bench.peers import numpy_model
from bench.simulating import CLIENTS, simulation
from bench.table import Row
from bramble.simulation.training import Training
from bramble.simulation.workers import Threads
from bramble_client.learn.trainer import Result
from bramble_protocol.messages import ClientUpdate, Timing, TrainingComplete
from bramble_server import foundation
from bramble_server.settings import Alone

WORKERS, ROUNDS, PARTS = 2, 5, 3
STEPS = {1: "a step of a minibatch", 16: "an epoch of 16 steps"}


def train(steps: int, runtime: Any, graph: Any, asked: ClientUpdate, place: Any, training: Training) -> Result:
    """Train a client by numpy, where Bramble would by its graph."""
    client = int(training.client.rpartition("-")[2])
    trained = asked.layout.join(numpy_model.train(list(asked.layout.split(asked.weights)), client, steps))
    losses, timing = {"loss_before": 1.0, "loss_after": 1.0}, Timing(training.begins, training.begins, training.ends)
    answer = TrainingComplete(asked.round, asked.layout, asked.reply_encoding, trained, numpy_model.WINDOWS, losses, timing)
    return Result(replace(answer, steps=steps if asked.extras.steps else None), [], training.ends)


def bramble(steps: int) -> list[float]:
    """Return the seconds of each round after the first."""
    [built] = foundation.read(Alone(task=("climate",), min_clients=1))
    assert tuple(tensor.shape for tensor in built.graph.manifest.layout.tensors) == numpy_model.SHAPES
    ended = []
    with closing(Threads(built.graph, WORKERS)) as workers, patch("bramble.simulation.rounds.train", partial(train, steps)):
        for played in simulation(workers).play(1 + ROUNDS):
            assert played.delivered == CLIENTS, played.reason
            ended.append(perf_counter())
    return [second - first for first, second in pairwise(ended)]


def flower(steps: int) -> list[float]:
    """Return the seconds of each round after the first."""
    command = [environment("flower"), PEERS / "flower_simulation.py", CLIENTS, 1 + ROUNDS, steps, WORKERS]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=PEERS)
    if done.returncode:
        raise Refused(f"Flower's simulation does not run here: {(done.stderr.strip() or 'it said nothing').splitlines()[-1]}")
    ended: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return [second - first for first, second in pairwise(ended[1:])]


def alone(steps: int) -> float:
    """Return how many trainings a second numpy does in one loop in one thread."""
    began, weights = perf_counter(), [np.zeros(shape, np.float32) for shape in numpy_model.SHAPES]
    for client in range(CLIENTS):
        numpy_model.train(weights, client, steps)
    return CLIENTS / (perf_counter() - began)


def cell(steps: int) -> Row:
    ours, theirs = [], []
    for _ in range(PARTS):
        ours += bramble(steps)
        theirs += flower(steps)
    rates, numpy = (CLIENTS / median(ours), CLIENTS / median(theirs)), max(alone(steps) for _ in range(PARTS))
    bound = WORKERS * numpy  # what no engine can exceed, for all of it is training
    reach = f"; that is {100 * rates[0] / bound:.0f} % of numpy alone in {WORKERS} threads that share nothing"
    context = f"{rates[0]:.0f} trainings a second to {rates[1]:.0f}, {CLIENTS} clients, {WORKERS} workers, medians of {len(ours)} rounds"
    name = f"a numpy model of 2,881 weights, {STEPS[steps]}: trainings a second, times Flower's"
    return Row(name, rates[0] / rates[1], "", 10 if bound >= 10 * rates[1] else None, context + reach, bound="at least")


def main() -> list[Row]:
    return [cell(steps) for steps in STEPS]
