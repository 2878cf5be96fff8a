"""JSON in pieces. The encoder lets no other thread run before it is done, so what is long goes to it bit by bit, between heartbeats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.layout import Layout, Weights

PIECE = 1 << 15
"""Numbers encoded at a time, some milliseconds' worth."""


def nested(array: NDArray[np.float32]) -> Iterator[str]:
    """Yield an array as nested JSON lists."""
    if array.size <= PIECE:
        yield json.dumps(array.tolist())
        return
    yield "["
    rows = PIECE // array[0].size
    for start in range(0, len(array), max(1, rows)):
        if start:
            yield ", "
        if rows:
            yield json.dumps(array[start : start + rows].tolist())[1:-1]
        else:
            yield from nested(array[start])
    yield "]"


def weights(layout: Layout, flat: Weights) -> Iterator[str]:
    """Yield ``{name: nested lists}`` for the tensors of a flat vector of shape (layout.size,)."""
    return members((tensor.name, nested(array)) for tensor, array in zip(layout.tensors, layout.split(flat), strict=True))


def members(items: Any) -> Iterator[str]:
    """Yield an object from pairs of a name and its value's pieces."""
    yield "{"
    for index, (name, value) in enumerate(items):
        yield f"{', ' if index else ''}{json.dumps(name)}: "
        yield from value
    yield "}"


def rendered(text: Iterator[str]) -> bytes:
    """Put pieces together as UTF-8."""
    return b"".join(piece.encode() for piece in text)
