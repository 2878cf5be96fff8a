"""FedYogi: as FedAdam, with steps that do not suddenly grow."""

from __future__ import annotations

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.learning.strategies.adaptive import Adaptive
from bramble_server.learning.strategies.fedadam import AdamSteps


class FedYogi(Adaptive):
    """As FedAdam, with steps that do not suddenly grow where changes become small: for noisy rounds with few clients.

    ``v <- v - (1 - beta_2) d^2 sign(v - d^2)`` (Reddi et al. 2021, algorithm 2, FedYogi).
    """

    takes = AdamSteps
    parameters: AdamSteps

    def second(self, before: Weights, square: Weights) -> Weights:
        """Move towards this round's squares, by a part of them."""
        direction: Weights = np.sign(before - square)
        direction *= square
        direction *= np.float32(self.parameters.beta_2 - 1)
        direction += before
        return direction
