"""What a codec is: how a vector of numbers becomes bytes, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bramble_protocol.layout import Layout, Weights


@dataclass(frozen=True)
class Codec(ABC):
    """How one encoding stores a vector. Each takes a number of bytes that follows from the layout."""

    based: bool = False
    """Whether it holds how far the weights are from a base that both ends have: the model that a round began with."""
    instead: str | None = None
    """What is used with a peer that does not know it; None where every peer does, for the first version had it."""
    partial: bool = False
    """Whether it leaves out so much that the sender must add it to what it sends the next time."""

    @abstractmethod
    def size(self, layout: Layout) -> int:
        """Return how many bytes a vector of this layout takes."""

    @abstractmethod
    def pack(self, vector: Weights, layout: Layout, encoding: str, what: str, seed: str) -> NDArray[Any]:
        """Return an array whose bytes travel.

        Parameters
        ----------
        vector
            Shape (layout.size,), float32.
        encoding, what
            What a refusal calls the codec and the vector.
        seed
            Of what is drawn; the same one gives the same bytes, on any machine.

        Raises
        ------
        EncodingError
            If a value is not finite in it, or beyond :data:`bramble_protocol.codecs.plain.LARGEST`.
        """

    @abstractmethod
    def unpack(self, data: Any, layout: Layout, encoding: str, what: str) -> Weights:
        """Return the vector of these bytes, whose number was checked; shape (layout.size,), float32.

        Raises
        ------
        EncodingError
            If they are nothing that :meth:`pack` makes.
        """
