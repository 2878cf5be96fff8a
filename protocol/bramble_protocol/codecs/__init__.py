"""How a flat vector of weights becomes bytes, and back. Whatever a codec leaves out, the byte count follows from the layout.

A new one is a file beside ``plain.py`` and a line in ``CODECS``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.codecs import topk
from bramble_protocol.codecs.base import Codec
from bramble_protocol.codecs.int8 import Int8
from bramble_protocol.codecs.plain import LARGEST, Plain, check
from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout, Weights

__all__ = [
    "CODECS", "ENCODINGS", "LARGEST", "NAMED", "Codec", "decode", "encode", "encoded_size", "find", "fits", "numbers", "plain", "spoken",
]  # fmt: skip

CODECS: dict[str, Codec] = {
    "float32": Plain(),
    "float16": Plain(dtype="<f2"),
    "delta-float16": Plain(True, "float16", dtype="<f2"),
    "int8": Int8(instead="float32"),
    "delta-int8": Int8(True, "float32"),
}
"""Codecs by the names of their encodings, but for those that have a parameter in it (:func:`bramble_protocol.codecs.topk.find`)."""
ENCODINGS = (*CODECS, f"{topk.NAME}-SHARE")
"""What a message may say, for whoever reads a refusal."""
NAMED = (*(name for name, codec in CODECS.items() if codec.instead), topk.NAME)
"""Those that a peer must have named among its features."""


def find(encoding: str, what: str = "encoding") -> Codec:
    """Return the codec of an encoding.

    Raises
    ------
    EncodingError
        If it is unknown; ``what`` is the field that named it.
    """
    found = (CODECS.get(encoding) or topk.find(encoding)) if isinstance(encoding, str) else None
    if found is None:
        raise EncodingError(f"{what}: {encoding!r:.40} is not one of {', '.join(ENCODINGS)}")
    return found


def spoken(encoding: str, features: Collection[str]) -> str:
    """Return the encoding to use with a peer of these features: this one, or what is used instead."""
    codec = find(encoding)
    feature = topk.NAME if isinstance(codec, topk.TopK) else encoding
    return encoding if codec.instead is None or feature in features else codec.instead


def plain(encoding: str) -> str:
    """Return how a vector travels that goes with weights in this encoding and has no base of its own."""
    return find(encoding).instead or encoding


def encoded_size(layout: Layout, encoding: str) -> int:
    """Number of bytes that a model of this layout takes in this encoding."""
    return find(encoding).size(layout)


def encode(weights: Weights, layout: Layout, encoding: str, base: Weights | None = None, what: str = "weights", seed: str = "") -> bytes:
    """Turn a flat vector into wire bytes, as :func:`numbers` does."""
    return numbers(weights, layout, encoding, base, what, seed).tobytes()


def numbers(
    weights: Weights, layout: Layout, encoding: str, base: Weights | None = None, what: str = "weights", seed: str = ""
) -> NDArray[Any]:
    """Turn a flat vector into an array whose bytes travel. Where nothing is to be done, it is the vector.

    Parameters
    ----------
    weights
        Shape (layout.size,), float32.
    encoding
        One that :func:`find` knows.
    base
        Shape (layout.size,), float32: the vector that the other end has, for an encoding that needs one.
    what
        What a refusal calls it.
    seed
        Of what a codec draws while it rounds.

    Raises
    ------
    EncodingError
        If the encoding is unknown, it needs a base and there is none, or a value is not finite in it (float16 ends at 65504) or beyond
        ``LARGEST``.
    """
    codec = find(encoding)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = weights - _checked(base, len(weights), encoding) if codec.based else weights
    return codec.pack(moved, layout, encoding, what, seed)


def decode(data: Any, layout: Layout, encoding: str, base: Weights | None = None, what: str = "weights") -> Weights:
    """Turn wire bytes into a flat float32 vector of shape (layout.size,), without copying where machine and codec allow it.

    Raises
    ------
    EncodingError
        If the encoding is unknown, it needs a base and there is none, the byte count does not fit, the bytes are not what the codec
        makes, or a value is NaN, infinite or beyond ``LARGEST``.
    """
    codec = find(encoding)
    fits(data, layout, encoding, what)
    moved = codec.unpack(data, layout, encoding, what)
    if not codec.based:
        return moved
    weights: Weights = _checked(base, layout.size, encoding) + moved
    check(weights, encoding, "weights")
    return weights


def fits(data: Any, layout: Layout, encoding: str, what: str = "weights") -> None:
    """Check that these are as many bytes as the layout takes in this encoding; none of them is read.

    Raises
    ------
    EncodingError
        If the encoding is unknown, it is no bytes, or their number is another.
    """
    expected = encoded_size(layout, encoding)
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise EncodingError(f"{what}: expected bytes, got {type(data).__name__}")
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    if size != expected:
        raise EncodingError(f"{what}: {size} bytes do not fit the layout, which takes {expected} as {encoding}")


def _checked(base: Weights | None, size: int, encoding: str) -> Weights:
    if base is None:
        raise EncodingError(f"encoding: {encoding} says how far the weights are from a model that both ends have, and there is none here")
    if base.shape != (size,):
        raise EncodingError(f"encoding: {encoding} needs a base of {size} values, and got shape {base.shape}")
    return base
