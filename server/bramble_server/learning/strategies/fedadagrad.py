"""FedAdagrad: steps that get shorter where much has changed in all rounds before."""

from __future__ import annotations

from dataclasses import dataclass

from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import parameter
from bramble_server.learning.strategies.adaptive import Adaptive, Steps


@dataclass(frozen=True)
class AdagradSteps(Steps):
    """What can be set of FedAdagrad: its paper takes no momentum."""

    learning_rate: float = parameter(0.1, "Length of a step.", above=0, most=10)
    beta_1: float = parameter(0.0, "How much of the last round's direction the next one goes on with.", least=0, below=1)


class FedAdagrad(Adaptive):
    """A step for each parameter, shorter where much has changed before: for few rounds, and rare features.

    ``v <- v + d^2`` (Reddi et al. 2021, algorithm 2, FedAdagrad).
    """

    takes = AdagradSteps
    parameters: AdagradSteps

    def second(self, before: Weights, square: Weights) -> Weights:
        """Add this round's squares to those of all before."""
        square += before
        return square
