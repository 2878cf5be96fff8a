"""One number for each weight, in the machine's own formats: ``float32``, which loses nothing, and ``float16``, with eleven bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.codecs.base import Codec, check
from bramble_protocol.layout import Layout, Weights


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
