"""Scaling: the client's own update, so long that it drowns all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bramble.simulation.attacks.base import Attack
from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters, parameter


@dataclass(frozen=True)
class Times(Parameters):
    """What can be set of it."""

    times: float = parameter(20.0, "How many times longer than what it trained it is.", above=0, most=1e4)


class Scale(Attack):
    """Sends what it learnt many times longer, ``w + times (w_k - w)``, so that the model is its own (Bagdasaryan et al. 2020)."""

    takes = Times
    parameters: Times

    def sends(self, model: Weights, trained: Weights) -> Weights:
        """Return the same way, longer."""
        return model + np.float32(self.parameters.times) * (trained - model)
