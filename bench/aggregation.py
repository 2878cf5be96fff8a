"""Aggregation: how long FedAvg takes beside numpy's own weighted sum, and how much memory."""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from bench.table import Row
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import Delivery, Timing, TrainingComplete
from bramble_server.learning.aggregate import BLOCK
from bramble_server.learning.judge import Judge
from bramble_server.learning.strategies import Aside, Update, create
from bramble_server.rounds.divergence import measure
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import Header, RoundFile

CLIENTS, PARAMETERS, REPEATS = 100, 1_000_000, 15


def fedavg(updates: list[Weights], samples: list[int]) -> Weights:
    strategy = create("fedavg")
    strategy.begin(updates[0])
    for weights, count in zip(updates, samples, strict=True):
        strategy.fold(Update("pi", count, weights))
    return strategy.finish()


def numpys_own(updates: list[Weights], samples: list[int]) -> Weights:
    acc = np.zeros(PARAMETERS, np.float32)
    for x, count in zip(updates, samples, strict=True):
        w = np.float32(count)
        acc += w * x
    return acc


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read_from(weights: Weights) -> Aside:
    """Return what reads weights part by part, as if they had been put aside."""

    def read(start: int, part: Weights) -> None:
        part[:] = weights[start : start + len(part)]

    return read


def main() -> list[Row]:
    rng = np.random.default_rng(0)
    updates = [rng.standard_normal(PARAMETERS, np.float32) for _ in range(CLIENTS)]
    samples = [int(n) for n in rng.integers(50, 5000, CLIENTS)]
    # One after the other, again and again, so that whatever else the machine does hits both alike.
    pairs = [(seconds(lambda: fedavg(updates, samples)), seconds(lambda: numpys_own(updates, samples))) for _ in range(REPEATS)]
    ours, theirs = np.median(np.array(pairs[1:]), axis=0)

    exact = np.average(np.array([u[:BLOCK] for u in updates], np.float64), axis=0, weights=samples)
    scale = np.average(np.abs(np.array([u[:BLOCK] for u in updates], np.float64)), axis=0, weights=samples)
    error = np.max(np.abs(fedavg(updates, samples)[:BLOCK] - exact) / scale)
    plain = np.max(np.abs(numpys_own(updates, samples)[:BLOCK] / sum(samples) - exact) / scale)

    tracemalloc.start()
    fedavg(updates, samples)
    peak = tracemalloc.get_traced_memory()[1] / updates[0].nbytes
    tracemalloc.stop()

    measuring = seconds(lambda: measure({str(index): read_from(weights) for index, weights in enumerate(updates)}, updates[0], updates[1]))
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as name:
        header = Header(1, "", "evaluation", PARAMETERS, tuple(f"pi-{index}" for index in range(CLIENTS)), time.time(), time.time() + 60)
        open_round = OpenRound("some", RoundFile.create(Path(name, "1.round"), header), updates[0], create("fedavg"))
        with closing(open_round):
            layout = Layout.of([("w", [PARAMETERS])])
            messages = [
                Delivery.from_wire(TrainingComplete(1, layout, "float32", weights, count, {}, Timing(0, 0, 0)).to_wire(), layout)
                for weights, count in zip(updates, samples, strict=True)
            ]

            def arrive() -> None:
                for client, message in zip(header.clients, messages, strict=True):
                    open_round.take([(client, message, None)])
                    open_round.fold(client)

            arriving = seconds(arrive)
            judging = seconds(lambda: open_round.aggregate(Judge(), 1))
            together = tracemalloc.get_traced_memory()[1] / updates[0].nbytes
            tracemalloc.stop()

    size = f"{CLIENTS} updates of {PARAMETERS / 1e6:g} M float32"
    return [
        Row(f"FedAvg, {size}", ours / theirs, "", 1.5, f"numpy's own `acc += w * x`: {theirs * 1000:.0f} ms, here {ours * 1000:.0f} ms"),
        Row("memory beside the updates", peak, "models", 6, "one model's bytes, whatever the number of clients"),
        Row("largest error of the mean", error / 2.0**-24, "float32 roundings", None, f"a float32 sum: {plain / 2.0**-24:.0f}"),
        Row("a round's updates judged and folded, when the last has come", judging * 1000, "ms", None, size),
        Row("memory for that", together, "models", 8, "whatever the number of clients"),
        Row("updates taken as they come, one sync for each", arriving * 1000, "ms", None, size),
        Row("updates measured against old and new model", measuring * 1000, "ms", None, size),
    ]
