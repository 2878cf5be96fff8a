"""How one client's update lies to the old and the new global model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.learning.strategies import Aside

_BLOCK = 1 << 13
"""Values summed in float32: BLAS starts no threads for so few, and their sum is right to some 1e-7."""
_PART = 16 * _BLOCK
"""Values worked on at a time: three such rows fit into a large processor's second cache, and to call numpy costs little for so many."""
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


@np.errstate(over="ignore", invalid="ignore")
def length(weights: Weights, old: Weights) -> float:
    """Return ``|weights - old|``, or ``|weights|`` for an ``old`` of zeros; as exact as :func:`measure`."""
    total, space = 0.0, np.empty(min(len(weights), _PART), np.float32)
    for start in range(0, len(weights), _PART):
        mine, before = weights[start : start + _PART], old[start : start + _PART]
        moved = np.subtract(mine, before, out=space[: len(mine)])
        squares = _products(moved, moved)
        for number in _untold(squares, moved):
            squares[number] = _exactly(mine[_block(number)], before[_block(number)])
        total += sum(squares)
    return math.sqrt(total)


@np.errstate(over="ignore", invalid="ignore")
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
    size, step, sums = len(old), 0.0, {client: [0.0, 0.0, 0.0] for client in updates}
    row, way = (np.empty(min(size, _PART), np.float32) for _ in range(2))
    for start in range(0, size, _PART):
        before, after = old[start : start + _PART], new[start : start + _PART]
        wanted, mine = np.subtract(after, before, out=way[: len(before)]), row[: len(before)]
        squares = _products(wanted, wanted)
        untold = _untold(squares, wanted)
        for number in untold:
            squares[number] = _exactly(after[_block(number)], before[_block(number)])
        step += sum(squares)
        for client, read in updates.items():
            read(start, mine)
            mine -= before
            moved, along = _products(mine, mine), _products(mine, wanted)
            unsure = untold | _untold(moved, mine)
            mine -= wanted
            apart = _products(mine, mine)
            unsure |= _untold(apart, mine)
            for number in unsure:
                block = _block(number)
                weights, mine_before, mine_after = mine[block], before[block], after[block]
                read(start + block.start, weights)
                moved[number] = _exactly(weights, mine_before)
                along[number] = _exactly(weights, mine_before, mine_after, mine_before)
                apart[number] = _exactly(weights, mine_after)
            total = sums[client]
            total[0] += sum(moved)
            total[1] += sum(along)
            total[2] += sum(apart)
    return {client: _divergence(update, along, apart, step) for client, (update, along, apart) in sums.items()}


def _block(number: int) -> slice:
    return slice(number * _BLOCK, (number + 1) * _BLOCK)


def _products(a: Weights, b: Weights) -> list[float]:
    """Return the scalar product of each block of two vectors, summed in float32; the last block may be short."""
    if len(a) <= _BLOCK:
        return [float(a @ b)]
    whole = len(a) // _BLOCK
    end = whole * _BLOCK
    products: list[float] = np.matmul(a[:end].reshape(whole, 1, _BLOCK), b[:end].reshape(whole, _BLOCK, 1)).ravel().tolist()
    return [*products, float(a[end:] @ b[end:])] if end < len(a) else products


def _untold(squares: list[float], moved: Weights) -> set[int]:
    """Return the blocks whose square is not its sum in float32: an addend was infinite, or some vanished that are not zero."""
    if all(_LEAST < square < _MOST for square in squares):
        return set()
    if not any(squares) and moved.max() == moved.min() == 0:
        return set()
    return {number for number, square in enumerate(squares) if not _LEAST < square < _MOST and (square != 0 or moved[_block(number)].any())}


def _divergence(update: float, along: float, apart: float, step: float) -> Divergence:
    norms = math.sqrt(update) * math.sqrt(step)
    cosine = min(1.0, max(-1.0, along / norms)) if norms else None
    return Divergence(math.sqrt(update), cosine, math.sqrt(apart))


def _exactly(a: Weights, b: Weights, *step: Weights) -> float:
    """Return ``(a - b) @ (c - d)`` in float64, of ``step`` c and d or else of a and b, where float32 has no good number for it."""
    moved = np.subtract(a, b, dtype=np.float64)
    return float(moved @ (np.subtract(*step, dtype=np.float64) if step else moved))
