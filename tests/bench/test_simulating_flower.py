"""What Bramble's simulation and Flower's are compared on is one model, trained alike."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from bench import simulating_flower
from bench.peers import numpy_model
from bench.simulating import CLIENTS, simulation
from bramble.simulation.workers import Threads
from bramble_client.learn.trainer import Result
from bramble_protocol.layout import Weights
from bramble_server import tasks


def loss(weights: Sequence[numpy_model.Array], x: numpy_model.Array, y: numpy_model.Array) -> float:
    first = np.maximum(x @ weights[0] + weights[1], 0)
    return float(np.square(np.maximum(first @ weights[2] + weights[3], 0) @ weights[4] + weights[5] - y, dtype=np.float64).mean())


def test_a_step_goes_down_the_losss_gradient() -> None:
    random = np.random.default_rng(1)
    weights = [0.3 * random.standard_normal(shape) for shape in numpy_model.SHAPES]
    x, y = (part[:8].astype(np.float64) for part in numpy_model.windows(0))
    after = [tensor.copy() for tensor in weights]
    numpy_model.step(after, x, y)
    for tensor, moved in zip(weights, after, strict=True):
        at = tuple(0 for _ in tensor.shape)
        here, tensor[at] = tensor[at], tensor[at] + 1e-6
        above = loss(weights, x, y)
        tensor[at] = here - 1e-6
        slope = (above - loss(weights, x, y)) / 2e-6
        tensor[at] = here
        assert (tensor[at] - moved[at]) / float(numpy_model.RATE) == pytest.approx(slope, rel=1e-4, abs=1e-8)


@pytest.mark.slow
def test_brambles_clients_send_what_numpy_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, Weights] = {}

    def train(*given: Any) -> Result:
        result = simulating_flower.train(2, *given)
        sent[given[-1].client] = result.complete.weights
        return result

    monkeypatch.setattr("bramble.simulation.rounds.train", train)
    graph = tasks.load("climate")
    with closing(Threads(graph, 2)) as workers:
        [played] = simulation(workers).play(1)
    start, layout = list(graph.manifest.layout.split(graph.initial)), graph.manifest.layout
    assert played.delivered == len(sent) == CLIENTS
    assert len({weights.tobytes() for weights in sent.values()}) == CLIENTS
    for client, weights in sent.items():
        np.testing.assert_array_equal(weights, layout.join(numpy_model.train(start, int(client.rpartition("-")[2]), 2)))
