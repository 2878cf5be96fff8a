"""How one client's update lies to the old and the new global model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.layout import Weights
from bramble_server.learning.strategies import Aside

_BLOCK = 1 << 13
"""Values measured at a time: three such rows fit into a processor's cache, and BLAS starts no threads for so few."""
_PART = 4 * _BLOCK
"""Values read at a time."""
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
        mine, before = weights[start : start + _BLOCK], old[start : start + _BLOCK]
        total += _square(mine, before, np.subtract(mine, before, out=space[: len(mine)]))
    return math.sqrt(total)


@np.errstate(over="ignore")
def measure(updates: Mapping[str, Aside], old: Weights, new: Weights) -> dict[str, Divergence]:
    """Compare each client's weights with the old and the new global model.

    They are read part by part, all clients' of a part one after the other: both models' part then stays in the processor's cache. Blocks
    are summed in float32 and their sums in float64, so that lengths are right to 1e-7 of themselves, and the cosine to 2e-7.

    Parameters
    ----------
    updates
        By client, what fills an array with its weights from one of them on.
    old, new
        Shape (parameters,).
    """
    size, step, sums = len(old), 0.0, {client: np.zeros(3) for client in updates}
    row, way = (np.empty(min(size, _PART), np.float32) for _ in range(2))
    for start in range(0, size, _PART):
        before, after = old[start : start + _PART], new[start : start + _PART]
        wanted, mine = np.subtract(after, before, out=way[: len(before)]), row[: len(before)]
        blocks = [slice(at, at + _BLOCK) for at in range(0, len(before), _BLOCK)]
        lengths = [_square(after[block], before[block], wanted[block]) for block in blocks]
        step += sum(lengths)
        for client, read in updates.items():
            read(start, mine)
            for block, square in zip(blocks, lengths, strict=True):
                sums[client] += _products(mine[block], before[block], after[block], wanted[block], square)
    return {client: _divergence(total, step) for client, total in sums.items()}


def _products(mine: Weights, before: Weights, after: Weights, wanted: Weights, square: float) -> tuple[float, float, float]:
    """Return of one block ``|mine - before|**2``, ``(mine - before) @ wanted`` and ``|mine - after|**2``."""
    moved, rest = mine - before, mine - after
    update, apart = float(moved @ moved), float(rest @ rest)
    if _told(update, moved) and _told(apart, rest) and _told(square, wanted):
        return update, float(moved @ wanted), apart
    return _exactly(mine, before, mine, before), _exactly(mine, before, after, before), _exactly(mine, after, mine, after)


def _divergence(sums: NDArray[np.float64], step: float) -> Divergence:
    update, along, apart = map(float, sums)
    norms = math.sqrt(update) * math.sqrt(step)
    cosine = min(1.0, max(-1.0, along / norms)) if norms else None
    return Divergence(math.sqrt(update), cosine, math.sqrt(apart))


def _square(a: Weights, b: Weights, apart: Weights) -> float:
    """Return ``|a - b|**2`` of one block, whose difference is known."""
    square = float(apart @ apart)
    return square if _told(square, apart) else _exactly(a, b, a, b)


def _told(square: float, moved: Weights) -> bool:
    """Whether a block's square is its sum in float32: no addend was infinite, and those that vanished are none."""
    return _LEAST < square < _MOST or (square == 0 and moved.max() == moved.min() == 0)


def _exactly(a: Weights, b: Weights, c: Weights, d: Weights) -> float:
    """Return ``(a - b) @ (c - d)`` in float64, where float32 has no number for it, or a coarse one."""
    return float(np.subtract(a, b, dtype=np.float64) @ np.subtract(c, d, dtype=np.float64))
