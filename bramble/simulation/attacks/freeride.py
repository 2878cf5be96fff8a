"""Free riding: a client that takes each model and gives nothing."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from bramble.simulation.attacks.base import Attack
from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters, parameter


@dataclass(frozen=True)
class Disguise(Parameters):
    """What can be set of it."""

    disguise: float = parameter(0.0, "Length of noise that it adds, in lengths of what it would have trained; 0: none.", least=0, most=100)


class FreeRide(Attack):
    """Returns what it got, as if it had trained, or that with some noise for a disguise (Fraboni et al. 2021)."""

    takes = Disguise
    parameters: Disguise

    def sends(self, model: Weights, trained: Weights) -> Weights:
        """Return the model itself, perhaps with noise."""
        if not self.parameters.disguise:
            return model.copy()
        noise = np.random.default_rng(zlib.crc32(trained.tobytes())).standard_normal(len(model)).astype(np.float32)
        length = self.parameters.disguise * np.linalg.norm(trained - model) / np.linalg.norm(noise)
        return model + np.float32(length) * noise
