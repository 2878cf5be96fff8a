"""How one client's update lies to the old and the new global model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bramble_protocol.layout import Weights

_BLOCK = 1 << 13
"""Values measured at a time: three such rows fit into a processor's cache, and BLAS starts no threads for so few."""
_LEAST, _MOST = 1e-25, 1e38
"""Between these a block's sum of squares in float32 is right."""


@dataclass(frozen=True)
class Divergence:
    """How one client's update lies to the old and the new global model. Euclidean, over all parameters."""

    update_norm: float
    """``|w_i - w_old|``."""
    cosine: float | None
    """Of the angle between ``w_i - w_old`` and ``w_new - w_old``; none where one of them is zero."""
    distance: float
    """``|w_i - w_new|``."""


@np.errstate(over="ignore")
def length(weights: Weights, old: Weights) -> float:
    """Return ``|weights - old|``, or ``|weights|`` for an ``old`` of zeros; as exact as :func:`measure`."""
    total = 0.0
    space = np.empty(min(len(weights), _BLOCK), np.float32)
    for start in range(0, len(weights), _BLOCK):
        part = slice(start, start + _BLOCK)
        moved = np.subtract(weights[part], old[part], out=space[: len(weights[part])])
        square = float(moved @ moved)
        total += square if _told(square, moved) else _exactly(weights[part], old[part], weights[part], old[part])
    return math.sqrt(total)


@np.errstate(over="ignore")
def measure(weights: Weights, old: Weights, new: Weights) -> Divergence:
    """Compare one client's weights with the old and the new global model.

    Blocks are summed in float32 and their sums in float64, so that lengths are right to 1e-7 of themselves, and the cosine to 2e-7.
    """
    update = step = along = apart = 0.0
    space = np.empty((3, min(len(weights), _BLOCK)), np.float32)
    for start in range(0, len(weights), _BLOCK):
        mine, before, after = weights[start : start + _BLOCK], old[start : start + _BLOCK], new[start : start + _BLOCK]
        moved, wanted, rest = space[:, : len(mine)]
        np.subtract(mine, before, out=moved)
        np.subtract(after, before, out=wanted)
        np.subtract(mine, after, out=rest)
        squares = float(moved @ moved), float(wanted @ wanted), float(rest @ rest)
        if all(map(_told, squares, (moved, wanted, rest))):
            along += float(moved @ wanted)
        else:
            squares = _exactly(mine, before, mine, before), _exactly(after, before, after, before), _exactly(mine, after, mine, after)
            along += _exactly(mine, before, after, before)
        update, step, apart = update + squares[0], step + squares[1], apart + squares[2]
    norms = math.sqrt(update) * math.sqrt(step)
    cosine = min(1.0, max(-1.0, along / norms)) if norms else None
    return Divergence(math.sqrt(update), cosine, math.sqrt(apart))


def _told(square: float, moved: Weights) -> bool:
    """Whether a block's square is its sum in float32: no addend was infinite, and those that vanished are none."""
    return _LEAST < square < _MOST or not moved.any()


def _exactly(a: Weights, b: Weights, c: Weights, d: Weights) -> float:
    """Return ``(a - b) @ (c - d)`` in float64, where float32 has no number for it, or a coarse one."""
    return float(np.subtract(a, b, dtype=np.float64) @ np.subtract(c, d, dtype=np.float64))
