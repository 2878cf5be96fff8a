"""How much of the processors a simulation leaves to TensorFlow Lite, and what a thousand clients take."""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from bench.table import Row
from bramble.simulation import places
from bramble.simulation.on_ray import RayWorkers
from bramble.simulation.rounds import Simulation
from bramble.simulation.scenario import Scenario
from bramble.simulation.workers import Threads, Workers
from bramble_client.learn.runtime import Runtime
from bramble_protocol.graph import GraphFile
from bramble_server import foundation
from bramble_server.settings import Alone

CLIENTS, REPEATS = 100, 7
FLEETS = {CLIENTS: 3, 20: 10}
"""Rounds by how many clients play them: a hundred each know 500 windows, as the thousand do, and twenty a third of a year."""
MANY, MANY_ROUNDS = 1000, 3
Call = tuple[str, dict[str, NDArray[Any]]]


class Listening(Runtime):
    """Notes every call with its arguments as the runtime takes them."""

    def __init__(self, graph: GraphFile) -> None:
        super().__init__(graph.flatbuffer)
        self.calls: list[Call] = []

    def __call__(self, signature: str, **inputs: Any) -> dict[str, NDArray[np.float32]]:
        """Note it, and run it."""
        taken = self._signature(signature).inputs
        self.calls.append((signature, {name: np.asarray(value, taken[name].dtype, order="C") for name, value in inputs.items()}))
        return super().__call__(signature, **inputs)


def simulation(workers: Workers, clients: int = CLIENTS) -> Simulation:
    """Return a fleet that takes part in every round."""
    [built] = foundation.read(Alone(task=("climate",), min_clients=1))
    stretches, _ = places.share(PLACES, clients)
    return Simulation(built, stretches, Scenario(spread=0), 0, workers)


def heard(graph: GraphFile, clients: int) -> list[Call]:
    """Return all calls of a fleet's first rounds."""
    listening = Listening(graph)
    with patch("bramble.simulation.workers.Runtime", lambda flatbuffer: listening), closing(Threads(graph, 1)) as workers:
        fleet = simulation(workers, clients)
        listening.calls.clear()
        list(fleet.play(FLEETS[clients]))
    return listening.calls


class Took(NamedTuple):
    """Seconds that something took, or what the clocks say."""

    clock: float
    processors: float
    """Of this process, which a busy machine changes less."""

    @classmethod
    def now(cls) -> Took:
        """Return what the clocks say."""
        return cls(time.perf_counter(), time.process_time())

    @property
    def since(self) -> Took:
        """How long that is ago."""
        return Took(time.perf_counter() - self.clock, time.process_time() - self.processors)


def rounds(workers: Workers, clients: int = CLIENTS) -> Took:
    """Return what a fleet's first rounds take."""
    fleet = simulation(workers, clients)
    began = Took.now()
    list(fleet.play(FLEETS[clients]))
    return began.since


def typical(runs: list[Took]) -> Took:
    """Return the medians."""
    return Took(*map(statistics.median, zip(*runs, strict=True)))


def tight(graph: GraphFile, calls: list[Call], count: int) -> Took:
    """Return what the same calls take in so many threads with nothing between them."""

    def work(part: list[Call]) -> None:
        runtime = Runtime(graph.flatbuffer)
        prepared = [(runtime._signature(signature), arrays) for signature, arrays in part]
        ready.append(prepared)
        while len(ready) < count:
            time.sleep(0.001)
        started.append(Took.now())
        for signature, arrays in prepared:
            signature(arrays)

    ready: list[Any] = []
    started: list[Took] = []
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, [calls[index::count] for index in range(count)]))
        return min(started).since


def thousand() -> dict[str, Any]:
    """Run the command in a process of its own; return what it printed, and its largest size."""
    command = [sys.executable, "-m", "bramble", "simulate", "--clients", str(MANY), "--rounds", str(MANY_ROUNDS), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        printed = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return {**printed, "mb": usage.ru_maxrss / 1024}


def beside_the_loop(graph: GraphFile, threads: Workers, clients: int, count: int) -> list[Row]:
    """Compare a fleet's rounds with the same calls in one loop, in turns."""
    calls, ours, theirs, trainings = heard(graph, clients), [], [], FLEETS[clients] * clients
    for _ in range(REPEATS):
        ours.append(rounds(threads, clients))
        theirs.append(tight(graph, calls, count))
    mine, loop = typical(ours), typical(theirs)
    return [
        Row(
            f"Simulation of {clients} clients: part of what the same calls reach in a tight loop", 100 * loop.clock / mine.clock, "%", 85,
            f"{trainings / mine.clock:.0f} trainings a second against {trainings / loop.clock:.0f}, {FLEETS[clients]} rounds, {count} "
            f"threads, medians of {REPEATS} interleaved runs",
            bound="at least",
        ),
        Row(
            f"Simulation of {clients} clients: processor time of a training", 1000 * mine.processors / trainings, "ms", None,
            f"of which the same calls take {1000 * loop.processors / trainings:.3g} ms in that loop",
        ),
    ]  # fmt: skip


def main() -> list[Row]:
    logging.getLogger("bramble_client").setLevel(logging.ERROR)
    [built] = foundation.read(Alone(task=("climate",), min_clients=1))
    count = len(os.sched_getaffinity(0))
    trainings, ours, on_ray = FLEETS[CLIENTS] * CLIENTS, [], []
    with closing(Threads(built.graph, count)) as threads:
        rows = [row for clients in FLEETS for row in beside_the_loop(built.graph, threads, clients, count)]
        with closing(RayWorkers(built.graph, count)) as processes:
            rounds(processes)  # which stores the places
            for _ in range(REPEATS):
                ours.append(rounds(threads))
                on_ray.append(rounds(processes))
    mine, rays, told = typical(ours), typical(on_ray), thousand()
    return [
        *rows,
        Row(
            "Simulation: time on Ray, times that of threads", rays.clock / mine.clock, "", 1.3,
            f"{trainings / rays.clock:.0f} trainings a second of {CLIENTS} clients in {count} processes, its start apart",
        ),
        Row(f"Simulation: memory of {MANY} clients", told["mb"], "MB", 1500, f"{told['committed']} rounds, model {told['digest']}"),
    ]  # fmt: skip


PLACES = places.read(None, foundation.read(Alone())[0].graph.manifest)
