"""Five rounds of a simulated fleet end where numpy ends that was given nothing but the windows and their order.

Model, gradients, local steps and the server's rules are written here once more, from the papers and in float64. What is shared is no
learning: which windows can be true, and in which order each client takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from bramble.simulation import places
from bramble.simulation.places import Stretch
from bramble.simulation.rounds import Simulation
from bramble.simulation.scenario import Scenario
from bramble.simulation.workers import Threads
from bramble_client.learn.plausibility import WindowDoubts
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import shuffles
from bramble_client.learn.windows import Windows
from bramble_server import foundation
from bramble_server.foundation import Foundation
from bramble_server.learning.judge import REACH, SAMPLES
from bramble_server.settings import Alone

Array = NDArray[np.float64]
Parts = list[Array]
ROUNDS, SEED, RATE, BATCH = 5, 3, 0.03, 32
WINDOWS = (200, 170, 230, 190)
"""Of four clients; no client has three times the median, beyond which samples would not count."""
LOW, HIGH, CHANGES = np.array([-60.0, 0.0, 300.0]), np.array([85.0, 100.0, 1100.0]), np.array([5.0, 20.0, 5.0])
SHAPES = ((72, 32), (32,), (32, 16), (16,), (16, 1), (1,))
LEAK, CLIP = 0.1, 1.0
ROUNDING = 2e-6
"""What float32 may leave of weights of the size 1 after five rounds of some 30 steps; 2e-7 was seen."""


def split(flat: Array) -> Parts:
    """Return a flat vector's kernels and biases."""
    ends = np.cumsum([int(np.prod(shape)) for shape in SHAPES])
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), SHAPES, strict=True)]


def gradient(flat: Array, x: Array, y: Array) -> Array:
    """Return the mean gradient of the climate task's loss over a minibatch, no longer than ``CLIP``."""
    w1, b1, w2, b2, w3, b3 = split(flat)
    way = np.clip(((x[:, :-1] - x[:, -1:]) / CHANGES).reshape(len(x), -1), -8, 8)
    seen = np.concatenate([way, np.clip((2 * x[:, -1] - HIGH - LOW) / (HIGH - LOW), -1.05, 1.05)], axis=1)
    z1 = seen @ w1 + b1
    h1 = np.where(z1 > 0, z1, LEAK * z1)
    z2 = h1 @ w2 + b2
    h2 = np.where(z2 > 0, z2, LEAK * z2)
    wanted = np.clip((y - x[:, -1, 0]) / CHANGES[0], -8, 8)
    d3 = 2 * ((h2 @ w3 + b3) - wanted[:, None]) / len(x)
    d2 = (d3 @ w3.T) * np.where(z2 > 0, 1, LEAK)
    d1 = (d2 @ w2.T) * np.where(z1 > 0, 1, LEAK)
    found = np.concatenate([part.ravel() for part in (seen.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0))])
    return found * min(1.0, CLIP / float(np.linalg.norm(found)))


@dataclass
class Client:
    """One of the fleet: what it trains on, and SCAFFOLD's control."""

    name: str
    windows: Windows
    control: Array = field(default_factory=lambda: np.zeros(1))

    def train(self, model: Array, number: int, correction: Array | float = 0.0) -> tuple[Array, int]:
        """Return where an epoch of minibatches ends, and after how many steps."""
        x, y = (np.asarray(part, np.float64) for part in (self.windows.inputs["x"], self.windows.targets["y"]))
        order, w, steps = shuffles(SEED, self.name, number)(len(x)), model.copy(), 0
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            w -= RATE * (gradient(w, x[chosen], y[chosen]) + correction)
            steps += 1
        return w, steps


def mean(clients: Sequence[Client], ends: Sequence[Array]) -> Array:
    """Return the mean by samples (McMahan et al. 2017, algorithm 1)."""
    return np.average(ends, axis=0, weights=[len(client.windows) for client in clients])


def fedavg(model: Array, clients: Sequence[Client]) -> Iterator[Array]:
    """Yield the model after each round."""
    for number in range(1, ROUNDS + 1):
        ends = bounded(model, [client.train(model, number)[0] for client in clients])
        model = mean(clients, ends)
        yield model


def fedadam(model: Array, clients: Sequence[Client]) -> Iterator[Array]:
    """Reddi et al. 2021, algorithm 2, with the parameters that the strategy has by itself."""
    rate, tau, beta_1, beta_2 = 0.01, 1e-3, 0.9, 0.99
    m, v = np.zeros_like(model), np.full_like(model, tau**2)
    for number in range(1, ROUNDS + 1):
        ends = bounded(model, [client.train(model, number)[0] for client in clients])
        change = mean(clients, ends) - model
        m = beta_1 * m + (1 - beta_1) * change
        v = beta_2 * v + (1 - beta_2) * change**2
        model = model + rate * m / (np.sqrt(v) + tau)
        yield model


def scaffold(model: Array, clients: Sequence[Client]) -> Iterator[Array]:
    """Karimireddy et al. 2020, algorithm 1, option II; all clients answer."""
    common = np.zeros_like(model)
    for number in range(1, ROUNDS + 1):
        ends, moved = [], []
        for client in clients:
            end, steps = client.train(model, number, common - client.control)
            control = client.control - common + (model - end) / (steps * RATE)
            ends.append(end)
            moved.append(control - client.control)
            client.control = control
        model, common = np.mean(bounded(model, ends), axis=0), common + np.mean(moved, axis=0)
        yield model


def bounded(model: Array, ends: Sequence[Array]) -> list[Array]:
    """Return where updates end that go no further than some medians, as a server has them."""
    lengths = [float(np.linalg.norm(end - model)) for end in ends]
    most = REACH * float(np.median(lengths))
    return [model + min(1.0, most / length) * (end - model) for end, length in zip(ends, lengths, strict=True)]


def fleet(base: Foundation) -> list[Stretch]:
    """Return clients of several climates with different amounts of data."""
    found = places.share(places.read(None, base.graph.manifest), len(WINDOWS))[0]
    return [Stretch(each.client, each.place, each.start, each.start + count) for each, count in zip(found, WINDOWS, strict=True)]


RULES: Mapping[str, Callable[[Array, Sequence[Client]], Iterator[Array]]] = {"fedavg": fedavg, "fedadam": fedadam, "scaffold": scaffold}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", RULES)
def test_a_fleet_learns_what_numpy_learns(strategy: str) -> None:
    [base] = foundation.read(Alone(min_clients=1, strategy=strategy, epochs=1, learning_rate=RATE, batch_size=BATCH))
    workers = Threads(base.graph, 2)
    try:
        stretches, runtime = fleet(base), Runtime(base.graph.flatbuffer)
        clients = [Client(each.client, WindowDoubts().believable(runtime, each.windows)) for each in stretches]
        assert max(len(client.windows) for client in clients) < SAMPLES * min(len(client.windows) for client in clients)
        reference = RULES[strategy](base.graph.initial.astype(np.float64), clients)
        simulation = Simulation(base, stretches, Scenario(), SEED, workers)
        for played, expected in zip(simulation.play(ROUNDS), reference, strict=True):
            assert (played.state, played.delivered) == ("committed", len(WINDOWS))
            apart = np.abs(simulation.model.weights - expected).max()
            assert apart < ROUNDING, f"round {played.round}: {apart:.2g}"
        assert np.abs(simulation.model.weights - base.graph.initial).max() > 1000 * ROUNDING
    finally:
        workers.close()
