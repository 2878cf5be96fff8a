"""How a flat vector of weights becomes bytes, and back. Every codec is lossless in length: the byte count follows from the layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import EncodingError
from bramble_protocol.layout import Layout, Weights

_DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
"""The encodings that store one number per weight. Quantised ones, which carry a scale per tensor, get their place beside this table."""

LARGEST = 1e18
"""Largest magnitude of a weight. Its square still fits into float32; and a runtime that stops at the largest float32 instead of
going to infinity (tflite-runtime does) is found out by it."""

ENCODINGS = tuple(_DTYPES)
"""Names of the encodings that this version speaks."""


def _dtype(encoding: str) -> np.dtype[Any]:
    try:
        return _DTYPES[encoding]
    except (KeyError, TypeError):
        raise EncodingError(f"encoding: {encoding!r} is not one of {', '.join(ENCODINGS)}") from None


def encoded_size(layout: Layout, encoding: str) -> int:
    """Number of bytes that a model of this layout takes in this encoding."""
    return layout.size * _dtype(encoding).itemsize


def encode(weights: Weights, encoding: str) -> bytes:
    """Turn a flat vector into wire bytes: little-endian, in layout order.

    Parameters
    ----------
    weights
        Shape (layout.size,), float32.
    encoding
        One of ``ENCODINGS``.

    Raises
    ------
    EncodingError
        If the encoding is unknown, or a value is not finite in it (float16 ends at 65504) or beyond ``LARGEST``.
    """
    dtype = _dtype(encoding)
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(weights, dtype)
    _check(array, encoding)
    return array.tobytes()


def decode(data: Any, layout: Layout, encoding: str) -> Weights:
    """Turn wire bytes into a flat float32 vector of shape (layout.size,), without copying where the machine allows it.

    Raises
    ------
    EncodingError
        If the encoding is unknown, the byte count does not fit, or a value is NaN, infinite or beyond ``LARGEST``.
    """
    dtype = _dtype(encoding)
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise EncodingError(f"weights: expected bytes, got {type(data).__name__}")
    expected = encoded_size(layout, encoding)
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    if size != expected:
        raise EncodingError(f"weights: {size} bytes do not fit the layout, which takes {expected} as {encoding}")
    array = np.frombuffer(data, dtype)
    _check(array, encoding)
    return array.astype(np.float32, copy=False)


def _check(array: NDArray[Any], encoding: str) -> None:
    low, high = float(array.min()), float(array.max())  # both NaN if any value is
    if -LARGEST <= low and high <= LARGEST:
        return
    where = int(np.flatnonzero(~(np.abs(array.astype(np.float64)) <= LARGEST))[0])
    if np.isfinite(array[where]):
        raise EncodingError(f"weights: value {where} is {array[where]:.3g}, beyond {LARGEST:g}: the training that made it diverged")
    raise EncodingError(f"weights: value {where} is not finite as {encoding}")
