"""What it costs that a local run can stop: one in calls of half a second, beside the same in one call."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from statistics import median

import numpy as np

from bench.table import Row
from bramble_client.hal.sim import recordings
from bramble_client.learn import builtin
from bramble_client.learn.fitting import Model, Run, fit, minibatches
from bramble_client.learn.runner import Runner
from bramble_client.learn.trainer import shuffles
from bramble_client.learn.windows import windows

EPOCHS, BATCH, PAIRS = 100, 16, 9


def main() -> list[Row]:
    """Measure both in turns, through a training process, on a year's weather."""
    graph = builtin.weather_graph()
    manifest, recording = graph.manifest, recordings.load(min(recordings.builtin().values()))
    times = [recording.first + number * manifest.step_s for number in range(8000)]
    keys = [channel.key for channel in manifest.channels]
    values = np.array([[recording.at(t)[key] for key in keys] for t in times], np.float64)
    data = windows(np.array(times), values, manifest)
    config = replace(manifest.config, epochs=EPOCHS, batch_size=BATCH)
    start, ratios, seconds = Model(graph.initial, graph.state), [], []
    with closing(Runner()) as runner:
        runner.load(graph.sha256, graph.flatbuffer)

        for _ in range(PAIRS + 1):  # the first pair warms up
            began = time.perf_counter()
            whole = Run(runner, manifest, data, start, minibatches(len(data), config, shuffles(0, "pi", 1)), config)
            whole.advance(whole.left)
            between = time.perf_counter()
            parts = fit(runner, manifest, data, start, config, shuffles(0, "pi", 1))
            seconds.append(between - began)
            ratios.append((time.perf_counter() - between) / (between - began))
            if not np.array_equal(parts.model.weights, whole.model.weights):
                raise RuntimeError("calls of a run do not give the bits of one")
    return [
        Row("A run in one call", median(seconds[1:]), "s"),
        Row(
            "The same in calls between which it can stop",
            median(ratios[1:]),
            limit=1.05,
            ratio_of=f"the same in one call, median of {PAIRS} pairs in turns; same bits",
        ),
    ]
