"""What FedAdagrad, FedAdam and FedYogi have in common: a step of its own length for each parameter, by how much changed before."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.base import State
from bramble_server.learning.strategies.fedavg import FedAvg


@dataclass(frozen=True)
class Steps(Parameters):
    """What can be set of each of them."""

    learning_rate: float = parameter(0.01, "Length of a step.", above=0, most=10)
    tau: float = parameter(1e-3, "How little change there must be for a long step.", above=0, most=1)
    beta_1: float = parameter(0.9, "How much of the last round's direction the next one goes on with.", least=0, below=1)


class Adaptive(FedAvg):
    """The adaptive server optimizers of Reddi et al. 2021, algorithm 2.

    With ``d`` the mean change of a round, weighted by samples: ``m <- beta_1 m + (1 - beta_1) d``, ``v`` as each of them has it, and
    ``w <- w + learning_rate * m / (sqrt(v) + tau)``. ``m`` begins with zeros and ``v`` with ``tau^2``.

    Must override: ``second``.
    """

    takes = Steps
    parameters: Steps
    copies = 10

    def __init__(self, parameters: Steps | None = None) -> None:
        super().__init__(parameters)
        self._first: Weights | None = None
        self._second: Weights | None = None

    @abstractmethod
    def second(self, before: Weights, square: Weights) -> Weights:
        """Return the next ``v``, shape (parameters,), of the one before and ``d^2``."""

    def restore(self, state: State) -> None:
        """Go on with ``m`` and ``v`` of the last round."""
        self._first, self._second = state["first"], state["second"]

    def begin(self, model: Weights) -> None:
        """Keep the model that the mean will be compared with."""
        super().begin(model)
        self._model = model

    def finish(self) -> Weights:
        """Go a step."""
        set_, change = self.parameters, super().finish()
        with np.errstate(over="ignore", invalid="ignore"):  # whoever asked for the result sees whether it is finite
            change -= self._model
            before = np.full_like(change, set_.tau**2) if self._second is None else self._second
            self._second = self.second(before, change * change)
            change *= np.float32(1 - set_.beta_1)
            if self._first is not None:
                change += np.float32(set_.beta_1) * self._first
            self._first = change
            step = np.sqrt(self._second)
            step += np.float32(set_.tau)
            np.divide(change, step, out=step)
            step *= np.float32(set_.learning_rate)
            step += self._model
        return step

    def state(self) -> State:
        """Remember ``m`` and ``v``."""
        return {} if self._first is None or self._second is None else {"first": self._first, "second": self._second}
