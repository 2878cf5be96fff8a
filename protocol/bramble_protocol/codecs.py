"""How a flat vector of weights becomes bytes, and back. Every codec is lossless in length: the byte count follows from the layout."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout, Weights


@dataclass(frozen=True)
class Codec:
    """How one encoding stores a vector: one number per weight. Quantised ones, with a scale per tensor, get their place beside it."""

    dtype: np.dtype[Any]
    based: bool = False
    """Whether it holds how far the weights are from a base that both ends have: the model that a round began with."""
    instead: str | None = None
    """What is used with a peer that does not know it; None where every peer does, for the first version had it."""


CODECS = {
    "float32": Codec(np.dtype("<f4")),
    "float16": Codec(np.dtype("<f2")),
    "delta-float16": Codec(np.dtype("<f2"), based=True, instead="float16"),
}
ENCODINGS = tuple(CODECS)
"""Names of the encodings that this version speaks."""
NAMED = tuple(name for name, codec in CODECS.items() if codec.instead)
"""Those that a peer must have named among its features."""
LARGEST = 1e18
"""Largest magnitude of a weight. Its square still fits into float32; and a runtime that stops at the largest float32 instead of
going to infinity (tflite-runtime does) is found out by it."""


def find(encoding: str, what: str = "encoding") -> Codec:
    """Return the codec of an encoding.

    Raises
    ------
    EncodingError
        If it is unknown; ``what`` is the field that named it.
    """
    try:
        return CODECS[encoding]
    except (KeyError, TypeError):
        raise EncodingError(f"{what}: {encoding!r:.40} is not one of {', '.join(ENCODINGS)}") from None


def spoken(encoding: str, features: Collection[str]) -> str:
    """Return the encoding to use with a peer of these features: this one, or what is used instead."""
    instead = find(encoding).instead
    return encoding if instead is None or encoding in features else instead


def plain(encoding: str) -> str:
    """Return how a vector travels that goes with weights in this encoding and has no base of its own."""
    return find(encoding).instead or encoding


def encoded_size(layout: Layout, encoding: str) -> int:
    """Number of bytes that a model of this layout takes in this encoding."""
    return layout.size * find(encoding).dtype.itemsize


def encode(weights: Weights, encoding: str, base: Weights | None = None, what: str = "weights") -> bytes:
    """Turn a flat vector into wire bytes, as :func:`numbers` does."""
    return numbers(weights, encoding, base, what).tobytes()


def numbers(weights: Weights, encoding: str, base: Weights | None = None, what: str = "weights") -> NDArray[Any]:
    """Turn a flat vector into an array whose bytes travel: little-endian, in layout order. Where nothing is to be done, it is the vector.

    Parameters
    ----------
    weights
        Shape (layout.size,), float32.
    encoding
        One of ``ENCODINGS``.
    base
        Shape (layout.size,), float32: the vector that the other end has, for an encoding that needs one.
    what
        What a refusal calls it.

    Raises
    ------
    EncodingError
        If the encoding is unknown, it needs a base and there is none, or a value is not finite in it (float16 ends at 65504) or beyond
        ``LARGEST``.
    """
    codec = find(encoding)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = weights - _checked(base, len(weights), encoding) if codec.based else weights
        array = np.ascontiguousarray(moved, codec.dtype)
    _check(array, encoding, what)
    return array


def decode(data: Any, layout: Layout, encoding: str, base: Weights | None = None, what: str = "weights") -> Weights:
    """Turn wire bytes into a flat float32 vector of shape (layout.size,), without copying where the machine allows it.

    Raises
    ------
    EncodingError
        If the encoding is unknown, it needs a base and there is none, the byte count does not fit, or a value is NaN, infinite or beyond
        ``LARGEST``.
    """
    codec = find(encoding)
    fits(data, layout, encoding, what)
    array = np.frombuffer(data, codec.dtype)
    _check(array, encoding, what)
    if not codec.based:
        return array.astype(np.float32, copy=False)
    weights: Weights = _checked(base, layout.size, encoding) + array.astype(np.float32)
    _check(weights, encoding)
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


def _check(array: NDArray[Any], encoding: str, what: str = "weights") -> None:
    low, high = float(array.min()), float(array.max())  # both NaN if any value is
    if -LARGEST <= low and high <= LARGEST:
        return
    where = int(np.flatnonzero(~(np.abs(array.astype(np.float64)) <= LARGEST))[0])
    if np.isfinite(array[where]):
        raise EncodingError(f"{what}: value {where} is {array[where]:.3g}, beyond {LARGEST:g}: the training that made it diverged")
    raise EncodingError(f"{what}: value {where} is not finite as {encoding}")
