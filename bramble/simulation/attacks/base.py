"""What an attack is: what a client trains on in place of its readings, and what it sends in place of what it trained."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.windows import Windows
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters


class Attack:
    """A client that does no attack; each way to attack overrides what it does otherwise.

    May override: ``reads``, ``sends``, ``refuses``; one that wants a model to do something at a sign of its own ``marked`` and ``success``.
    It is called once for each of its clients and rounds, in any process, and keeps nothing between.
    """

    takes: ClassVar[type[Parameters]] = Parameters
    lies: ClassVar[bool] = True
    """Whether it knows what it does: then it believes all that it trains on, and tells losses that nobody would notice."""

    def __init__(self, parameters: Any = None) -> None:
        self.parameters = self.takes() if parameters is None else parameters

    @classmethod
    def refuses(cls, manifest: Manifest) -> str | None:
        """Say why it makes no sense against a task; by default it does."""
        return None

    def reads(self, windows: Windows, manifest: Manifest) -> Windows:
        """Return what it trains on; the arrays that it is given are others' too, and must not be written to."""
        return windows

    def sends(self, model: Weights, trained: Weights) -> Weights:
        """Return what it sends, shape (parameters,), given the model that it was sent and what it trained."""
        return trained

    def marked(self, windows: Windows, manifest: Manifest) -> Windows | None:
        """Return windows with the sign to which the model is to answer as the attack wants; None where it wants no such thing."""
        return None

    def success(self, plain: NDArray[np.float32], marked: NDArray[np.float32], windows: Windows, manifest: Manifest) -> float:
        """Return how far a model does what the attack wants, 0 to 1 where it is wholly done.

        Parameters
        ----------
        plain, marked
            What the graph gives first for windows without the sign and with it, shape (n, ...).
        windows
            Those without it.
        """
        raise NotImplementedError


def changed(array: NDArray[Any], rows: NDArray[np.bool_], to: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of an array with some of its rows as in another."""
    copy = array.copy()
    copy[rows] = to[rows]
    return copy
