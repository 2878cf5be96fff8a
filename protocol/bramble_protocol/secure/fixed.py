"""Numbers as whole multiples of a step, in words that add up modulo 2^32: no sum of so many clients leaves its range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Weights

Words = NDArray[np.uint32]
TOTALS = ("weight", "samples", "losses", "loss_before", "loss_after", "test_samples", "test_error", "test_baseline")
"""What is added up beside the weights: ``weight``, windows as far as they count; ``samples``, all of them; ``losses``, those of which the
losses are known; then sums over windows."""
LIMBS = 4
"""Words of a total: each holds 16 of its 64 bits, so that up to 2^16 of them add up without a carry."""
FINE = 2.0**-20
"""Step of a total."""
MOST = 4096
"""Clients of one sum."""


@dataclass(frozen=True)
class Encoding:
    """How a client's change of the model becomes words.

    Parameters
    ----------
    clients
        How many may be in a sum at most, 2 to ``MOST``.
    reach
        Largest change of a weight. A change that is longer in any is shortened as a whole.
    windows
        Windows from which on a client counts wholly: with fewer, so much less.
    counts
        Names and lengths of vectors that clients count beside it, by name.
    """

    clients: int
    reach: float
    windows: int
    counts: tuple[tuple[str, int], ...] = ()

    @property
    def step(self) -> float:
        """What a word's unit is worth: so small that ``clients`` times ``reach`` still fits."""
        return self.reach / ((1 << 31) // self.clients - 1)

    def words(self, size: int) -> int:
        """Return how many words a model of this size takes."""
        return size + LIMBS * self._totals

    @property
    def _totals(self) -> int:
        return len(TOTALS) + sum(length for _, length in self.counts)

    def encode(
        self, change: Weights, samples: int, metrics: Mapping[str, float], counts: Mapping[str, Sequence[float]] | None = None
    ) -> Words:
        """Return a client's words.

        Parameters
        ----------
        change
            How far each weight moved, shape (size,), finite.
        samples, metrics, counts
            As the answer to a request has them.

        Returns
        -------
        numpy.ndarray
            Shape (words(size),), uint32.

        Raises
        ------
        EncodingError
            If a total could leave its range.
        """
        weight = min(samples, self.windows)
        largest = float(np.abs(change).max(initial=0.0))
        if not np.isfinite(largest):
            raise EncodingError("secure sum: a change that is not finite cannot be encoded")
        factor = weight / self.windows / self.step * min(1.0, self.reach / largest if largest else 1.0)
        units = np.rint(change * np.float64(factor)).astype(np.int64)
        totals = [self._total(name, value) for name, value in totals_of(weight, samples, metrics).items()]
        for name, length in self.counts:
            vector = (counts or {}).get(name, (0.0,) * length)
            if len(vector) != length:
                raise EncodingError(f"secure sum: {name} has {len(vector)} numbers, and {length} were asked for")
            totals += [self._total(name, value) for value in vector]
        limbs = np.array(totals, "<i8").view("<u2").astype(np.uint32)
        return np.concatenate([units.astype(np.uint32), limbs])

    def _total(self, name: str, value: float) -> int:
        units = round(value / FINE) if math.isfinite(value) else 2**63
        if not -(2**63) // self.clients < units < 2**63 // self.clients:
            raise EncodingError(f"secure sum: {name} of {value:.3g} is more than {self.clients} clients may add up")
        return units

    def decode(self, total: Words) -> tuple[NDArray[np.float64], dict[str, float], dict[str, tuple[float, ...]]]:
        """Return the mean change, shape (size,), the totals, and what was counted, from the words of all clients added up.

        Raises
        ------
        EncodingError
            If nobody is in it, which no sum of clients says.
        """
        size = len(total) - LIMBS * self._totals
        limbs = total[size:].astype(object).reshape(self._totals, LIMBS) @ [1 << 16 * place for place in range(LIMBS)]
        values = [_signed(value) * FINE for value in limbs]
        totals, counts, start = dict(zip(TOTALS, values, strict=False)), {}, len(TOTALS)
        for name, length in self.counts:
            counts[name], start = tuple(values[start : start + length]), start + length
        if not 0 < totals["weight"] <= self.clients * self.windows:
            raise EncodingError(f"secure sum: it says that {totals['weight']:g} windows count, which no sum of {self.clients} clients can")
        change: NDArray[np.float64] = total[:size].view(np.int32).astype(np.float64)
        found = {name: vector for name, vector in counts.items() if any(vector)}
        return change * (self.step * self.windows / totals["weight"]), totals, found


def totals_of(weight: float, samples: int, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what a client adds to the totals."""
    tested = metrics.get("test_samples", 0.0)
    known = samples if {"loss_before", "loss_after"} <= metrics.keys() else 0
    sums = {name: known * metrics.get(name, 0.0) for name in ("loss_before", "loss_after")}
    sums |= {"test_samples": tested} | {name: tested * metrics.get(name, 0.0) for name in ("test_error", "test_baseline")}
    return {"weight": weight, "samples": samples, "losses": known, **sums}


def metrics_of(totals: Mapping[str, float]) -> dict[str, float]:
    """Return the pooled metrics that totals come to."""
    over = {"loss_before": "losses", "loss_after": "losses", "test_error": "test_samples", "test_baseline": "test_samples"}
    means = {name: totals[name] / totals[by] for name, by in over.items() if totals[by] > 0}
    return {**means, "test_samples": totals["test_samples"]} if totals["test_samples"] > 0 else means


def _signed(value: int) -> int:
    value %= 1 << 64
    return value - (1 << 64) if value >= 1 << 63 else value
