"""SCAFFOLD: clients whose steps are corrected by how their own data differs from all others'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bramble_protocol.features import CONTROL, STEPS
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Extras
from bramble_server.learning.aggregate import WeightedMean
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.base import Context, State, Strategy, Update
from bramble_server.learning.strategies.controls import Controls


@dataclass(frozen=True)
class Corrections(Parameters):
    """What can be set of SCAFFOLD."""

    learning_rate: float = parameter(1.0, "How far the model goes towards the mean of the clients' weights.", above=0, most=10)
    patience: int = parameter(100, "Rounds that a client may miss before all controls begin anew.", least=1, most=1_000_000)


class Scaffold(Strategy):
    """Clients whose steps are corrected by how their own data differs from all others': for many local steps on very different data.

    Each client keeps a control ``c_k``, the mean gradient of its last run, and the server the mean ``c`` of them (Karimireddy et al.
    2020, algorithm 1, option II). A step is ``y <- y - lr (g_k(y) - c_k + c)``; after ``K`` of them, ``c_k+ = c_k - c + (w - y_k) / (K
    lr)``. With ``S`` the clients that answered, of the ``N`` that ever did: ``w <- w + learning_rate * mean_S(y_k - w)`` and ``c <- c +
    |S| / N * mean_S(c_k+ - c_k)``. All clients count the same, however much data they have.
    """

    takes = Corrections
    parameters: Corrections
    copies = 9

    def __init__(self, parameters: Corrections | None = None) -> None:
        super().__init__(parameters)
        self._controls = Controls(self.parameters.patience)

    @property
    def needs(self) -> tuple[str, ...]:
        """A control, and the number of steps that made it."""
        return (STEPS, CONTROL)

    def extras(self, context: Context, clients: Sequence[str]) -> Mapping[str, Extras]:
        """Give every client the mean of all controls."""
        return self._controls.ask(context, clients, common=True)

    def restore(self, state: State) -> None:
        """Go on with the controls of the last round."""
        self._controls.restore(state)

    def begin(self, model: Weights) -> None:
        """Start with an empty sum of weights."""
        self._model, self._mean = model, WeightedMean(len(model))
        self._controls.begin(model)

    def fold(self, update: Update) -> None:
        """Add the weights, and how far the control moved."""
        self._controls.fold(update)
        self._mean.add(update.weights, 1)

    def finish(self) -> Weights:
        """Go towards the mean of the weights."""
        step = self._mean.mean()
        self._controls.finish()
        step -= self._model
        step *= np.float32(self.parameters.learning_rate)
        step += self._model
        return step

    def state(self) -> State:
        """Remember the controls."""
        return self._controls.state()
