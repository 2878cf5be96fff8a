"""FedAvg: the mean of the clients' weights, each counted by its samples."""

from __future__ import annotations

from bramble_protocol.layout import Weights
from bramble_server.learning.aggregate import WeightedMean
from bramble_server.learning.strategies.base import Strategy, Update


class FedAvg(Strategy):
    """The mean of the clients' weights, each counted by its samples.

    Federated averaging (McMahan et al. 2017, algorithm 1): ``w <- sum_k n_k w_k / sum_k n_k``. The sum runs over the clients that
    delivered, so it is the average over the sampled data, not over the whole fleet's.
    """

    linear = True

    def begin(self, model: Weights) -> None:
        """Start with an empty sum."""
        self._mean = WeightedMean(len(model))

    def fold(self, update: Update) -> None:
        """Add ``samples * weights``."""
        self._mean.add(update.weights, update.samples)

    def finish(self) -> Weights:
        """Divide by the samples of all."""
        return self._mean.mean()
