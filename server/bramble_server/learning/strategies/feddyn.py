"""FedDyn: clients that are pulled to the global model, by a pull that learns to let the optimum be where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bramble_protocol.features import CONTROL, STEPS
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Extras, TrainConfig
from bramble_server.learning.aggregate import WeightedMean
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.base import Context, State, Strategy, Update
from bramble_server.learning.strategies.controls import Controls


@dataclass(frozen=True)
class Regularisation(Parameters):
    """What can be set of FedDyn."""

    alpha: float = parameter(0.1, "How strongly a client is pulled to the global model while it trains.", above=0, most=1000)
    patience: int = parameter(100, "Rounds that a client may miss before all controls begin anew.", least=1, most=1_000_000)


class FedDyn(Strategy):
    """As FedProx, without its price: the pull does not keep the model from the optimum. For clients that train nearly to their end.

    A client minimises ``F_k(y) - <g_k, y> + alpha/2 |y - w|^2`` and then takes ``g_k <- g_k - alpha (y_k - w)``, which it keeps (Acar et
    al. 2021, algorithm 1). With ``g`` the mean of ``g_k`` over all clients that ever answered, and ``S`` those that did now:
    ``w <- mean_S(y_k) - g / alpha``; the paper writes ``h`` for ``g``. All clients count the same, however much data they have.
    """

    takes = Regularisation
    parameters: Regularisation
    copies = 8

    def __init__(self, parameters: Regularisation | None = None) -> None:
        super().__init__(parameters)
        self._controls = Controls(self.parameters.patience)

    @property
    def needs(self) -> tuple[str, ...]:
        """A control, and the number of steps that made it."""
        return (STEPS, CONTROL)

    def plan(self, context: Context, clients: Sequence[str]) -> Mapping[str, TrainConfig]:
        """Pull every client alike."""
        return dict.fromkeys(clients, replace(context.config, proximal_mu=self.parameters.alpha))

    def extras(self, context: Context, clients: Sequence[str]) -> Mapping[str, Extras]:
        """Have every client keep ``g_k`` as its control, which moves by ``alpha (w - y_k)``."""
        return self._controls.ask(context, clients, rate=self.parameters.alpha)

    def restore(self, state: State) -> None:
        """Go on with the controls of the last round."""
        self._controls.restore(state)

    def begin(self, model: Weights) -> None:
        """Start with an empty sum of weights."""
        self._mean = WeightedMean(len(model))
        self._controls.begin(model)

    def fold(self, update: Update) -> None:
        """Add the weights, and how far the control moved."""
        self._controls.fold(update)
        self._mean.add(update.weights, 1)

    def finish(self) -> Weights:
        """Correct the mean of the weights by that of the controls."""
        model, control = self._mean.mean(), self._controls.finish()
        if control is not None:
            control /= np.float32(self.parameters.alpha)
            model -= control
        return model

    def state(self) -> State:
        """Remember the controls."""
        return self._controls.state()
