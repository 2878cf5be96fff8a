"""One number for each weight, in the machine's own formats: ``float32``, which loses nothing, and ``float16``, with eleven bits; and what
no number of a weight may be, whatever its codec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.codecs.base import Codec
from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout, Weights

LARGEST = 1e18
"""Largest magnitude of a weight. Its square still fits into float32; and a runtime that stops at the largest float32 instead of
going to infinity (tflite-runtime does) is found out by it."""


@dataclass(frozen=True)
class Plain(Codec):
    """Numbers one after the other, little-endian, in layout order. Where nothing is to be done nothing is copied."""

    dtype: str = "<f4"

    def size(self, layout: Layout) -> int:
        """See :meth:`Codec.size`."""
        return layout.size * np.dtype(self.dtype).itemsize

    def pack(self, vector: Weights, layout: Layout, encoding: str, what: str, seed: str) -> NDArray[Any]:
        """See :meth:`Codec.pack`."""
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(vector, self.dtype)
        check(array, encoding, what)
        return array

    def unpack(self, data: Any, layout: Layout, encoding: str, what: str) -> Weights:
        """See :meth:`Codec.unpack`."""
        array = np.frombuffer(data, self.dtype)
        check(array, encoding, what)
        return array.astype(np.float32, copy=False)


def check(array: NDArray[Any], encoding: str, what: str) -> None:
    """Refuse a vector with a value that is not finite, or beyond ``LARGEST``.

    Raises
    ------
    EncodingError
        Naming the first.
    """
    low, high = float(array.min()), float(array.max())  # both NaN if any value is
    if -LARGEST <= low and high <= LARGEST:
        return
    where = int(np.flatnonzero(~(np.abs(array.astype(np.float64)) <= LARGEST))[0])
    if np.isfinite(array[where]):
        raise EncodingError(f"{what}: value {where} is {array[where]:.3g}, beyond {LARGEST:g}: the training that made it diverged")
    raise EncodingError(f"{what}: value {where} is not finite as {encoding}")
