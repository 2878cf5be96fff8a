"""How one client's update lies to the old and the new global model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bramble_protocol.layout import Weights

_BLOCK = 1 << 13
"""Values measured at a time: three such rows of float64 fit into a processor's cache, and BLAS starts no threads for so few."""


@dataclass(frozen=True)
class Divergence:
    """How one client's update lies to the old and the new global model. Euclidean, over all parameters."""

    update_norm: float
    """``|w_i - w_old|``."""
    cosine: float | None
    """Of the angle between ``w_i - w_old`` and ``w_new - w_old``; none where one of them is zero."""
    distance: float
    """``|w_i - w_new|``."""


def length(weights: Weights, old: Weights) -> float:
    """Return ``|weights - old|``, or ``|weights|`` for an ``old`` of zeros, summing in float64."""
    total = 0.0
    space = np.empty(min(len(weights), _BLOCK), np.float64)
    for start in range(0, len(weights), _BLOCK):
        part = slice(start, start + _BLOCK)
        moved = np.subtract(weights[part], old[part], out=space[: len(weights[part])], dtype=np.float64)
        total += float(moved @ moved)
    return math.sqrt(total)


def measure(weights: Weights, old: Weights, new: Weights) -> Divergence:
    """Compare one client's weights with the old and the new global model, summing in float64."""
    update = step = along = apart = 0.0
    space = np.empty((3, min(len(weights), _BLOCK)), np.float64)
    for start in range(0, len(weights), _BLOCK):
        part = slice(start, start + _BLOCK)
        moved, wanted, rest = space[:, : len(weights[part])]
        rest[:] = old[part]
        np.subtract(weights[part], rest, out=moved)
        np.subtract(new[part], rest, out=wanted)
        np.subtract(moved, wanted, out=rest)
        update += float(moved @ moved)
        step += float(wanted @ wanted)
        along += float(moved @ wanted)
        apart += float(rest @ rest)
    norms = math.sqrt(update) * math.sqrt(step)
    cosine = min(1.0, max(-1.0, along / norms)) if norms else None
    return Divergence(math.sqrt(update), cosine, math.sqrt(apart))
