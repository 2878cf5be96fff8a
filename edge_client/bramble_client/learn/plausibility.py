"""What a client does not believe: windows that lie beyond what can be, and a run that made the model worse."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.runtime import Graph, result
from bramble_client.learn.windows import Windows
from bramble_protocol.errors import BrambleError
from bramble_protocol.reasons import DOUBTED

logger = logging.getLogger(__name__)

SIGNATURE = "doubt"
CHUNK = 1024
"""Windows judged in one go."""
MOST = 0.5
"""Part of the windows that may be doubtful. Beyond it the sensor is broken, and what it measured between is no better."""
FEW = 0.01
"""Part that needs no word: now and then weather itself does what it never does."""
WORSE = 4.0
"""A loss that ends at more times of where it began was not trained but destroyed. One that came down is never doubted."""
NOISE = 1e-3
"""A loss so small, in the task's own scale, may end anywhere below it: shuffles alone move it by a factor."""


class Unbelievable(BrambleError):
    """There is nothing to send: the readings cannot be true, or training on them made the model worse."""


class WindowDoubts:
    """Takes doubtful windows out, says so once, and once when it is over.

    ``windows`` is how many there were the last time, None before the first.
    """

    def __init__(self) -> None:
        self.windows: int | None = None
        self._many = False

    def believable(self, graph: Graph, data: Windows) -> Windows:
        """Return the windows that the graph does not doubt; all of them if it has no opinion.

        Raises
        ------
        Unbelievable
            If more than ``MOST`` of them are doubtful.
        """
        good = self._good(graph, data)
        if good is None:
            return data
        count = len(data) - int(np.count_nonzero(good))
        self._told(count, len(data))
        if count > MOST * len(data):
            raise Unbelievable(f"{count} of {len(data)} {DOUBTED}: check this client's sensors and their units")
        return data[good] if count else data

    def _good(self, graph: Graph, data: Windows) -> NDArray[np.bool_] | None:
        return plausible(graph, data)

    def _told(self, count: int, of: int) -> None:
        self.windows, former, self._many = count, self._many, count > FEW * of
        if self._many and not former:
            logger.warning("%d of %d windows cannot be true and are not trained on: check this client's sensors and their units", count, of)
        elif former and not self._many:
            logger.info("nearly every window can be true again")


def plausible(graph: Graph, data: Windows) -> NDArray[np.bool_] | None:
    """Return which windows a graph does not doubt, shape (n,), each of them apart from the others; None if it has no opinion."""
    if SIGNATURE not in graph.signatures:
        return None
    parts = [result(graph(SIGNATURE, **part.inputs, **part.targets), SIGNATURE, (len(part),)) for part in data.parts(CHUNK)]
    good: NDArray[np.bool_] = np.concatenate(parts) <= 1  # a NaN is doubtful
    return good


def improved(before: float, after: float) -> None:
    """Check that a run did not end far above where it began.

    Raises
    ------
    Unbelievable
        If it did, or the loss is not a number.
    """
    # written so that a NaN fails too
    if not after <= max(WORSE * before, NOISE):
        raise Unbelievable(
            f"training made the model worse here (loss {before:.3g} to {after:.3g}): "
            "lower learning_rate, or check this client's sensors and their units"
        )
