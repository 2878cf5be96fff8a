"""FedAdam: steps by the mean size of recent changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import parameter
from bramble_server.learning.strategies.adaptive import Adaptive, Steps


@dataclass(frozen=True)
class AdamSteps(Steps):
    """What can be set of FedAdam and FedYogi."""

    beta_2: float = parameter(0.99, "How much of the squares of the rounds before stays.", least=0, below=1)


class FedAdam(Adaptive):
    """A step for each parameter by the mean size of its recent changes: for parameters that move by very different amounts.

    ``v <- beta_2 v + (1 - beta_2) d^2`` (Reddi et al. 2021, algorithm 2, FedAdam).
    """

    takes = AdamSteps
    parameters: AdamSteps

    def second(self, before: Weights, square: Weights) -> Weights:
        """Let what was fade, and add this round's squares."""
        square *= np.float32(1 - self.parameters.beta_2)
        square += np.float32(self.parameters.beta_2) * before
        return square
