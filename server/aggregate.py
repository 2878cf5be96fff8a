"""Streaming sums over updates: O(model) memory however many clients deliver, and nothing that depends on when they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from protocol.errors import BrambleError
from protocol.layout import Weights

BLOCK = 1 << 14
"""Values worked on at a time: operands of this length stay in the processor's cache between two operations."""


class AggregateError(BrambleError):
    """The aggregate of a round cannot become a model."""


class WeightedMean:
    """A weighted mean of vectors that arrive one by one.

    The sum is kept in float64. A float32 value times a whole weight below 2**29 is exact there, so only the additions
    round, at 2**-53 of the running sum: the order of arrival shows in the last bit of the float32 result at most.

    Parameters
    ----------
    size
        Length of the vectors.
    """

    def __init__(self, size: int) -> None:
        self._sum = np.zeros(size, np.float64)
        self._scaled = np.empty(min(size, BLOCK), np.float64)
        self.weight = 0.0

    def add(self, vector: Weights, weight: float) -> None:
        """Add a vector of shape (size,), float32 and finite, with a positive weight."""
        for start in range(0, len(self._sum), BLOCK):
            part = self._sum[start : start + BLOCK]
            scaled = self._scaled[: len(part)]
            np.multiply(vector[start : start + BLOCK], weight, out=scaled, dtype=np.float64)
            np.add(part, scaled, out=part)
        self.weight += weight

    def mean(self) -> Weights:
        """Return the mean as float32, shape (size,).

        Raises
        ------
        AggregateError
            If nothing was added, or a value does not fit into a finite float32.
        """
        if not self.weight:
            raise AggregateError("aggregate: no update was added")
        with np.errstate(over="ignore"):
            mean = (self._sum / self.weight).astype(np.float32)
        return finite(mean)


def finite(weights: Weights) -> Weights:
    """Return the weights if every value is finite.

    Raises
    ------
    AggregateError
        Otherwise, naming the first value that is not.
    """
    good = np.isfinite(weights)
    if not good.all():
        raise AggregateError(f"aggregate: value {int(np.argmin(good))} of the new model is not finite")
    return weights


_POOLED = {"loss_before": "samples", "loss_after": "samples", "test_error": "test_samples", "test_baseline": "test_samples"}
"""Metric -> what its mean over clients is weighted by."""


def pool_metrics(reports: Iterable[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Pool the metrics of several clients into those of a round.

    Losses are weighted by training samples, test measures by test samples: means of squared errors pool exactly, and
    whatever makes them readable (a square root) is applied to the pooled mean.

    Parameters
    ----------
    reports
        For each client its training samples and its metrics.

    Returns
    -------
    dict
        The pooled metrics that at least one client reported, and ``test_samples`` as a total.
    """
    sums: dict[str, float] = {}
    weights: dict[str, float] = {}
    tested = 0.0
    for samples, metrics in reports:
        fresh = max(0.0, metrics.get("test_samples", 0.0))
        tested += fresh
        for name, by in _POOLED.items():
            weight = samples if by == "samples" else fresh
            if name in metrics and weight > 0:
                sums[name] = sums.get(name, 0.0) + weight * metrics[name]
                weights[name] = weights.get(name, 0.0) + weight
    pooled = {name: total / weights[name] for name, total in sums.items()}
    return {**pooled, "test_samples": tested} if tested else pooled
