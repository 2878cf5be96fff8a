"""Streaming sums over updates: O(model) memory however many clients deliver, and nothing that depends on when they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_protocol.privacy import RELATIVE

BLOCK = 1 << 16
"""Values worked on at a time: operands of this length stay in the processor's cache between two operations."""
SHORT = 8
"""Updates summed in float32 before their sum is added to the float64 one."""
_SCALE = 2.0**-27
"""Keeps a short sum finite whatever finite values come: 8 times ``MAX_SAMPLES`` times this is below 1. A power of two rounds nothing."""


class AggregateError(BrambleError):
    """The aggregate of a round cannot become a model."""


class WeightedMean:
    """A weighted mean of vectors that arrive one by one.

    Short sums run in float32 and their total in float64. So at most ``SHORT`` products and additions round at 2**-24,
    whether ten clients deliver or ten thousand, and the order of arrival shows in the last bits of float32 only. A float64
    sum throughout would be a little closer, but widening every vector costs more than everything else together.

    Parameters
    ----------
    size
        Length of the vectors.
    """

    def __init__(self, size: int) -> None:
        self._short = np.empty(size, np.float32)
        self._long: NDArray[np.float64] | None = None
        self._scaled = np.empty(min(size, BLOCK), np.float32)
        self._count = 0
        self.weight = 0.0

    def add(self, vector: Weights, weight: float) -> None:
        """Add a vector of shape (size,), float32 and finite, with a positive weight up to ``MAX_SAMPLES``."""
        factor = np.float32(weight * _SCALE)
        if self._count % SHORT == 0:
            np.multiply(vector, factor, out=self._short)
        else:
            for start in range(0, len(vector), BLOCK):
                part = self._short[start : start + BLOCK]
                scaled = np.multiply(vector[start : start + BLOCK], factor, out=self._scaled[: len(part)])
                part += scaled
        self._count += 1
        self.weight += float(factor)
        if self._count % SHORT == 0:
            if self._long is None:
                self._long = self._short.astype(np.float64)
            else:
                self._long += self._short

    def mean(self) -> Weights:
        """Return the mean as float32, shape (size,).

        Raises
        ------
        AggregateError
            If nothing was added, or a value does not fit into a finite float32.
        """
        if not self._count:
            raise AggregateError("aggregate: no update was added")
        mean = np.empty(len(self._short), np.float32)
        space = np.empty(min(len(mean), BLOCK))
        with np.errstate(over="ignore"):
            for start in range(0, len(mean), BLOCK):
                part = slice(start, start + BLOCK)
                total = space[: len(mean[part])]
                total[:] = self._short[part] if self._count % SHORT else 0.0
                if self._long is not None:
                    total += self._long[part]
                total /= self.weight
                mean[part] = total
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


_POOLED = {
    **dict.fromkeys(("loss_before", "loss_after"), "samples"),
    **dict.fromkeys(("test_error", "test_baseline", "champion_error"), "test_samples"),
}
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


def in_words(pooled: Mapping[str, float]) -> str:
    """Return what a round's metrics say of its model, as it stands behind a comma in the log; nothing if they say nothing."""
    if "loss_before" in pooled and "loss_after" in pooled:
        return f", loss {pooled['loss_before']:.4g} -> {pooled['loss_after']:.4g}"
    return f", error {pooled[RELATIVE]:.2f} of the baseline's, with noise" if RELATIVE in pooled else ""
