"""FedAvgM: FedAvg with momentum, each round also going on in the direction of those before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.base import State
from bramble_server.learning.strategies.fedavg import FedAvg


@dataclass(frozen=True)
class Momentum(Parameters):
    """What can be set of FedAvgM."""

    momentum: float = parameter(0.9, "How much of the last round's step the next one goes on with; 0 is FedAvg.", least=0, below=1)
    learning_rate: float = parameter(1.0, "How far the model goes along the velocity.", above=0, most=10)


class FedAvgM(FedAvg):
    """As FedAvg, with momentum on the server: smoother where few or differing clients answer a round.

    The mean change of a round is taken for a gradient (Hsu et al. 2019, section 4; Reddi et al. 2021, algorithm 1 with SGD and momentum
    on the server): ``v <- momentum * v + mean_k(w_k) - w``, ``w <- w + learning_rate * v``.
    """

    takes = Momentum
    parameters: Momentum
    copies = 7

    def __init__(self, parameters: Momentum | None = None) -> None:
        super().__init__(parameters)
        self._velocity: Weights | None = None

    def restore(self, state: State) -> None:
        """Go on with the velocity of the last round."""
        self._velocity = state["velocity"]

    def begin(self, model: Weights) -> None:
        """Keep the model that the mean will be compared with."""
        super().begin(model)
        self._model = model

    def finish(self) -> Weights:
        """Move the model along the velocity."""
        velocity = super().finish() - self._model
        with np.errstate(over="ignore"):  # whoever asked for the result sees whether it is finite
            if self._velocity is not None:
                velocity += np.float32(self.parameters.momentum) * self._velocity
            self._velocity = velocity
            return self._model + np.float32(self.parameters.learning_rate) * velocity

    def state(self) -> State:
        """Remember the velocity."""
        return {} if self._velocity is None else {"velocity": self._velocity}
