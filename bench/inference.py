"""How long does a forecast beside the rounds take? From the call of the graph, and up to the file that others read."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from bench.learning import Site
from bench.table import Row
from bramble_client.acquire.recorder import Recorder
from bramble_client.learn.runner import Runner
from bramble_client.learn.runtime import Graph
from bramble_client.learn.trainer import Trainer
from bramble_client.use.inference import infer, newest
from bramble_client.use.latest import Latest
from bramble_client.use.own import Own
from bramble_client.use.standing import GLOBAL, Standing
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Weights
from bramble_server import tasks

CALLS = 3000
MOST_MS = 1.0


def main() -> list[Row]:
    graph = tasks.load("climate")
    site, own = Site.load("chicago", graph).until(200), Own(standing=Standing(in_use=GLOBAL))
    keys = [channel.key for channel in graph.manifest.channels]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorder = Recorder(folder / "readings.db", 10_000)
        recorder.append_many(
            (t, dict(zip(keys, row, strict=True))) for t, row in zip(site.times.tolist(), site.values.tolist(), strict=True)
        )
        latest, last = Latest(folder / "latest.json", "pi-1", time.time), float(site.times[-1])
        with closing(recorder), closing(Runner()) as runner:
            trainer = Trainer(folder, lambda _: graph.data, "pi-1", runner)
            trainer.graphs.get(graph.sha256)
            window = newest(recorder.columns, last, graph.manifest)

            def call(loaded: Graph, manifest: Manifest, state: Weights) -> None:
                infer(loaded, manifest, window, graph.initial, state, own)

            def whole(loaded: Graph, manifest: Manifest, state: Weights) -> None:
                found = infer(loaded, manifest, newest(recorder.columns, last, manifest), graph.initial, state, own)
                latest.tell("climate", {"outputs": found.outputs})

            alone, everything = (_milliseconds(partial(trainer.beside, graph.sha256, 30.0, work)) for work in (call, whole))
    return [
        _row("Forecast of climate in the training process, p99", alone, MOST_MS),
        _row("From the readings on the disk to the file, p99", everything, None),
    ]


def _milliseconds(work: Callable[[], object]) -> list[float]:
    work()
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    return took


def _row(name: str, took: list[float], limit: float | None) -> Row:
    half, most = np.percentile(took, [50, 99])
    return Row(name, float(most), "ms", limit, f"median {half:.2f} ms, {CALLS} calls")
