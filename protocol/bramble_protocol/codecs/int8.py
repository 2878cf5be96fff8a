"""A byte for each weight, and a scale for each tensor: whole steps of it, up or down by chance, so that the mean of many is right.

::

    4 bytes for each tensor     its scale, float32: the 127th part of its largest magnitude
    1 byte for each weight      how many steps of that, from -127 to 127

Rounding is stochastic (Alistarh et al. 2017, QSGD, section 3): a value between two steps goes to either with the probability that makes its
expectation the value itself, so what clients lose cancels out in their sum instead of adding up.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.codecs.base import Codec
from bramble_protocol.codecs.plain import LARGEST, check
from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout, Weights

STEPS = 127
"""Steps from zero to a tensor's largest magnitude."""
_SCALE = np.dtype("<f4")


@dataclass(frozen=True)
class Int8(Codec):
    """Steps of a scale that each tensor has of its own."""

    def size(self, layout: Layout) -> int:
        """See :meth:`Codec.size`."""
        return _SCALE.itemsize * len(layout.tensors) + layout.size

    def pack(self, vector: Weights, layout: Layout, encoding: str, what: str, seed: str) -> NDArray[Any]:
        """See :meth:`Codec.pack`."""
        check(vector, encoding, what)
        scales = np.empty(len(layout.tensors), _SCALE)
        levels = np.empty(layout.size, np.int8)
        source, start = random.Random(seed), 0
        for index, tensor in enumerate(layout.split(vector)):
            part = tensor.ravel()
            scales[index] = scale = np.float32(np.abs(part).max() / STEPS)
            # numpy would draw as well, but its generators take 4 MB of a client's memory
            chance = np.frombuffer(source.randbytes(4 * part.size), "<u4") * 2.0**-32
            steps = np.floor(part / np.float64(scale) + chance) if scale else np.zeros(part.size)
            levels[start : start + part.size] = np.clip(steps, -STEPS, STEPS)
            start += part.size
        return np.concatenate([scales.view(np.uint8), levels.view(np.uint8)])

    def unpack(self, data: Any, layout: Layout, encoding: str, what: str) -> Weights:
        """See :meth:`Codec.unpack`."""
        scales = np.frombuffer(data, _SCALE, len(layout.tensors))
        levels = np.frombuffer(data, np.int8, offset=scales.nbytes)
        wrong = np.flatnonzero(~((scales >= 0) & (scales <= LARGEST / STEPS)))
        if wrong.size:
            name, scale = layout.tensors[wrong[0]].name, scales[wrong[0]]
            raise EncodingError(f"{what}: the scale of {name} is {scale:.3g}, no finite number from 0 to {LARGEST / STEPS:.3g}")
        if levels.min() < -STEPS:
            where = int(levels.argmin())
            raise EncodingError(f"{what}: value {where} is {levels[where]}, and {encoding} goes from -{STEPS} to {STEPS}")
        weights = levels.astype(np.float32)
        for tensor, scale in zip(layout.split(weights), scales, strict=True):
            tensor *= scale
        return weights
