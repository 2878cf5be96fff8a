"""A fixed share of the weights, those that moved most: their places, and how far each moved.

::

    2 bytes for each    its place in layout order, ascending, no place twice; 4 bytes in a layout of more than 65536 weights
    2 bytes for each    how far it moved, float16

All others stay where they were. What is left out must not be lost, or weights that move slowly would never move: the sender adds it to
what it sends the next time (Stich et al. 2018, algorithm 1), so whatever float16 rounds away or cannot hold comes later, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.codecs.base import Codec
from bramble_protocol.codecs.plain import check
from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout, Weights

NAME = "topk"
DIGITS = 9
"""Of a share, behind its point."""
MOST = 0.5
"""Share beyond which it would save little."""
_SPELT = re.compile(rf"{NAME}-(0\.\d{{1,{DIGITS}}})")
_BILLION = 1_000_000_000
_VALUE = np.dtype("<f2")
_FARTHEST = float(np.finfo(_VALUE).max)


@dataclass(frozen=True)
class TopK(Codec):
    """The largest changes of a vector, by place and value."""

    share: float = 0.01
    """Part of the weights that travels, at least one of them."""

    def count(self, size: int) -> int:
        """Return how many of so many weights travel: ``share * size``, rounded up; in whole numbers, so that all ends agree."""
        return max(1, -(-round(self.share * _BILLION) * size // _BILLION))

    def size(self, layout: Layout) -> int:
        """See :meth:`Codec.size`."""
        return self.count(layout.size) * (_place(layout).itemsize + _VALUE.itemsize)

    def pack(self, vector: Weights, layout: Layout, encoding: str, what: str, seed: str) -> NDArray[Any]:
        """See :meth:`Codec.pack`."""
        check(vector, encoding, what)
        count, far = self.count(layout.size), np.abs(vector)
        least = np.partition(far, layout.size - count)[layout.size - count]
        chosen = far > least
        # of those that moved as far as the last one chosen, the first: which ones a sort brings up depends on the processor
        chosen[np.flatnonzero(far == least)[: count - np.count_nonzero(chosen)]] = True
        places = np.flatnonzero(chosen)
        values = np.clip(vector[places], -_FARTHEST, _FARTHEST)
        return np.concatenate([places.astype(_place(layout)).view(np.uint8), values.astype(_VALUE).view(np.uint8)])

    def unpack(self, data: Any, layout: Layout, encoding: str, what: str) -> Weights:
        """See :meth:`Codec.unpack`."""
        places = np.frombuffer(data, _place(layout), self.count(layout.size)).astype(np.int64)
        values = np.frombuffer(data, _VALUE, offset=len(places) * _place(layout).itemsize)
        if places.max() >= layout.size:
            raise EncodingError(f"{what}: index {places.max()} is out of range, the model has {layout.size} weights")
        steps = np.diff(places)
        if (steps <= 0).any():
            where = int(np.flatnonzero(steps <= 0)[0])
            how = (
                f"index {places[where]} is there twice"
                if not steps[where]
                else f"its indices are not sorted, {places[where + 1]} comes late"
            )
            raise EncodingError(f"{what}: {how}")
        check(values, encoding, what)
        weights = np.zeros(layout.size, np.float32)
        weights[places] = values
        return weights


def spelt(share: float) -> str:
    """Return what an encoding is called that sends this share."""
    return f"{NAME}-{share:.{DIGITS}f}".rstrip("0")


@lru_cache
def find(encoding: str) -> TopK | None:
    """Return the codec of a name such as ``topk-0.01``; None if it is none, or is not spelt as :func:`spelt` does."""
    found = _SPELT.fullmatch(encoding)
    share = float(found[1]) if found else 0.0
    return TopK(True, "float32", True, share) if 0 < share <= MOST and spelt(share) == encoding else None


def _place(layout: Layout) -> np.dtype[Any]:
    return np.dtype("<u2" if layout.size <= 1 << 16 else "<u4")
