"""The layout of a model's weights: names and shapes, in the order in which they travel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import LayoutError

Weights = NDArray[np.float32]
"""All of a model's weights in one flat float32 vector of shape (layout.size,), tensors in layout order, each in C order."""

MAX_TENSORS = 4096
MAX_PARAMETERS = 1 << 28
"""256 Mi parameters, 1 GiB as float32: far above what a Pi trains, low enough that no size computation can overflow."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a model: its name and shape."""

    name: str
    shape: tuple[int, ...]

    @cached_property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """Names and shapes of a model's tensors, in wire order."""

    tensors: tuple[Tensor, ...]

    @cached_property
    def size(self) -> int:
        """Number of parameters in all tensors."""
        return sum(tensor.size for tensor in self.tensors)

    @cached_property
    def _places(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """Where each tensor lies in a flat vector, and its shape: a local run asks a dozen times."""
        stops = list(itertools.accumulate(tensor.size for tensor in self.tensors))
        return [(stop - tensor.size, stop, tensor.shape) for stop, tensor in zip(stops, self.tensors, strict=True)]

    @classmethod
    def of(cls, shapes: Sequence[tuple[str, Sequence[int]]]) -> Layout:
        """Build a layout from (name, shape) pairs."""
        return cls.from_wire([{"name": name, "shape": list(shape)} for name, shape in shapes])

    @classmethod
    def from_wire(cls, value: Any, what: str = "layout", least: int = 1) -> Layout:
        """Read the JSON form, ``[{"name": "dense/kernel", "shape": [8, 32]}, ...]``.

        Parameters
        ----------
        value
            The JSON form.
        what
            What a refusal calls it.
        least
            Fewest tensors that it may have.

        Raises
        ------
        LayoutError
            If the value is not such a list, a name repeats, or a size is absurd.
        """
        if not isinstance(value, list) or not least <= len(value) <= MAX_TENSORS:
            raise LayoutError(f"{what}: expected a list of {least} to {MAX_TENSORS} tensors")
        tensors, names = [], set()
        for index, item in enumerate(value):
            if not isinstance(item, dict) or set(item) != {"name", "shape"}:
                raise LayoutError(f"{what}[{index}]: expected an object with exactly 'name' and 'shape'")
            name, shape = item["name"], item["shape"]
            if not isinstance(name, str) or not 0 < len(name) <= 200:
                raise LayoutError(f"{what}[{index}].name: expected a text of 1 to 200 characters")
            if name in names:
                raise LayoutError(f"{what}[{index}].name: '{name}' appears twice")
            if not isinstance(shape, list) or len(shape) > 8 or not all(type(n) is int and n > 0 for n in shape):
                raise LayoutError(f"{what}[{index}].shape: expected at most 8 positive integers")
            names.add(name)
            tensors.append(Tensor(name, tuple(shape)))
        layout = cls(tuple(tensors))
        if layout.size > MAX_PARAMETERS:
            raise LayoutError(f"{what}: {layout.size} parameters are more than the {MAX_PARAMETERS} that are allowed")
        return layout

    def to_wire(self) -> list[dict[str, Any]]:
        """Return the JSON form."""
        return [{"name": tensor.name, "shape": list(tensor.shape)} for tensor in self.tensors]

    def split(self, weights: Weights) -> Iterator[NDArray[np.float32]]:
        """Yield each tensor of a flat vector as a view in its own shape.

        Parameters
        ----------
        weights
            Shape (size,).

        Raises
        ------
        LayoutError
            If the vector has another length.
        """
        if weights.shape != (self.size,):
            raise LayoutError(f"weights: expected {self.size} values for this layout, got shape {weights.shape}")
        for start, stop, shape in self._places:
            yield weights[start:stop].reshape(shape)

    def join(self, tensors: Sequence[NDArray[np.float32]]) -> Weights:
        """Concatenate tensors, given in layout order, into one flat float32 vector of shape (size,).

        Raises
        ------
        LayoutError
            If their number or a shape differs from the layout.
        """
        if len(tensors) != len(self.tensors):
            raise LayoutError(f"weights: expected {len(self.tensors)} tensors, got {len(tensors)}")
        for expected, given in zip(self.tensors, tensors, strict=True):
            if given.shape != expected.shape:
                raise LayoutError(f"weights: {expected.name} has shape {given.shape}, expected {expected.shape}")
        return np.concatenate([np.asarray(tensor, np.float32).ravel() for tensor in tensors])
