"""A sign flip: the update turned round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bramble.simulation.attacks.base import Attack
from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters, parameter


@dataclass(frozen=True)
class Times(Parameters):
    """What can be set of it."""

    times: float = parameter(5.0, "How many times longer than what it trained it is.", above=0, most=1e4)


class Flip(Attack):
    """Sends the opposite of what it learnt, and longer: ``w - times (w_k - w)``."""

    takes = Times
    parameters: Times

    def sends(self, model: Weights, trained: Weights) -> Weights:
        """Return the way back, from the model on."""
        return model - np.float32(self.parameters.times) * (trained - model)
