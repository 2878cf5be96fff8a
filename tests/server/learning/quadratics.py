"""Clients whose data is a quadratic each, so that what a strategy comes to can be computed by hand; they train by numpy.

What is theirs alone is the gradient: they keep controls as real clients do, and are asked and folded in as by a real server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn import controls
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import ClientUpdate, TrainConfig
from bramble_server.learning.strategies import Aggregate, Context, Plan, State, Strategy, Update, conclude, planned

Make = Callable[[], Strategy]
RATE = 0.05
CONFIG = TrainConfig(learning_rate=RATE)


def kept(state: State) -> dict[str, Any]:
    """What comes back of a state from the store: arrays that cannot be written to."""
    return {name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape) for name, array in state.items()}


@dataclass
class Quadratic:
    """A client with ``F(y) = 1/2 sum_i curvature_i (y_i - optimum_i)^2``."""

    name: str
    optimum: NDArray[np.float64]
    curvature: NDArray[np.float64]
    steps: int = 5
    samples: int = 10
    controls: Mapping[int, Weights] = field(default_factory=dict)

    def train(self, number: int, model: Weights, plan: Plan) -> tuple[Update, Mapping[int, Weights]]:
        """Return the update, and the controls to keep once it is acknowledged."""
        layout = Layout.of([("w", [len(model)])])
        asked = ClientUpdate(number, "quadratic", "0" * 64, layout, "float32", "float32", model, plan.config, extras=plan.extras)
        own = controls.held(asked, self.controls)
        correction, config = controls.correction(asked, own), plan.config
        y, velocity = model.astype(np.float64), np.zeros(len(model))
        for _ in range(self.steps):
            gradient = self.curvature * (y - self.optimum) + config.proximal_mu * (y - model)
            velocity = plan.extras.momentum * velocity + gradient + (0 if correction is None else correction)
            y = y - config.learning_rate * velocity
        trained = y.astype(np.float32)
        moved = controls.moved(asked, own, self.controls, trained, self.steps)
        steps, since = self.steps if plan.extras.steps else None, own.since if own else None
        loss = float(self.curvature @ np.square(model - self.optimum)) / 2
        return Update(self.name, self.samples, trained, {"loss_before": loss}, steps, since, sections=moved.sections), moved.controls


def fleet(scale: float = 1.0, steps: Sequence[int] = (2, 5, 11, 3), seed: int = 5) -> list[Quadratic]:
    """Clients that differ: in what they want, by so much, in how strongly, in their steps and samples."""
    rng = np.random.default_rng(seed)
    return [
        Quadratic(f"pi-{i}", scale * rng.normal(size=3), rng.uniform(0.5, 2, 3), count, int(rng.integers(5, 50)))
        for i, count in enumerate(steps)
    ]


def optimum(clients: Sequence[Quadratic], by_samples: bool) -> NDArray[np.float64]:
    """Where the mean of the clients' objectives is least."""
    weights = np.array([client.samples if by_samples else 1 for client in clients], np.float64)[:, None]
    curvature = weights * [client.curvature for client in clients]
    solved: NDArray[np.float64] = (curvature * [client.optimum for client in clients]).sum(0) / curvature.sum(0)
    return solved


class Play:
    """Rounds of one strategy, one after the other, each with a new object as on a server."""

    def __init__(self, make: Make, size: int = 3, config: TrainConfig = CONFIG) -> None:
        self.make, self.config = make, config
        self.aggregate = Aggregate(np.zeros(size, np.float32), {})
        self.number = 0

    def round(self, clients: Sequence[Quadratic], commits: bool = True, left_out: str = "") -> Weights:
        """Play a round: clients hear that their answers were taken, whatever becomes of it."""
        self.number += 1
        strategy, model = self.make(), self.aggregate.weights
        if self.aggregate.state:
            strategy.restore(kept(self.aggregate.state))
        plan = planned(strategy, Context(self.number, model, self.config), [client.name for client in clients])
        strategy.begin(model)
        for client in clients:
            update, client.controls = client.train(self.number, model, plan[client.name])
            if client.name != left_out:
                strategy.fold(update)
        if commits:
            self.aggregate = conclude(strategy, model)
        return self.aggregate.weights

    def rounds(self, count: int, clients: Sequence[Quadratic]) -> Weights:
        """Play so many."""
        for _ in range(count):
            self.round(clients)
        return self.aggregate.weights
