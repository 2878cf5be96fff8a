"""RFA: the geometric median of the clients' weights, from which no minority can draw the model far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.blocks import Blockwise, Kept, Vector, mean


@dataclass(frozen=True)
class Weiszfeld(Parameters):
    """What can be set of RFA."""

    iterations: int = parameter(3, "Steps towards the geometric median, each a pass over all updates.", least=1, most=1000)
    nu: float = parameter(1e-6, "Distance below which a client counts no more for being near.", above=0, most=1)


class Rfa(Blockwise):
    """The geometric median of the clients' weights: for fleets in which clients with less than half of the data may lie.

    The point with the least sum of distances ``sum_k n_k |v - w_k|``, by the smoothed Weiszfeld algorithm (Pillutla et al. 2022, algorithm
    2): from the mean ``v <- sum_k b_k w_k / sum_k b_k`` with ``b_k = n_k / max(nu, |v - w_k|)``, so many times. Clients count by their
    samples, as in FedAvg.
    """

    takes = Weiszfeld
    parameters: Weiszfeld

    def finish(self) -> Weights:
        """Go from the mean towards the median."""
        updates = self.updates
        samples = np.array([update.samples for update in updates], np.float64)
        weights = samples / samples.sum()
        for _ in range(self.parameters.iterations):
            weights = samples / np.maximum(self.parameters.nu, self._distances(updates, weights))
            weights /= weights.sum()
        return self.columnwise(updates, lambda table: mean(table, weights))

    def _distances(self, updates: list[Kept], weights: Vector) -> Vector:
        squares = np.zeros(len(updates))
        for _, table in self.blocks(updates):
            centre = mean(table, weights)
            apart = np.empty_like(centre)
            for i, row in enumerate(table):
                np.subtract(row, centre, out=apart)
                squares[i] += np.square(apart, out=apart).sum()
        return np.sqrt(squares)
