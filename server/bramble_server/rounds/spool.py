"""The updates of a round on disk, for what can only be measured once the new model is known.

The file has no name (it is unlinked as soon as it is open), so a killed server leaves nothing behind.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights

_BLOCK = 1 << 13
"""Values measured at a time: three such rows of float64 fit into a processor's cache, and BLAS starts no threads for so few."""


class SpoolError(BrambleError):
    """An update could not be put aside or read back."""


@dataclass(frozen=True)
class Measure:
    """How one client's update lies to the old and the new global model. Euclidean, over all parameters."""

    client: str
    update_norm: float
    """``|w_i - w_old|``."""
    cosine: float | None
    """Of the angle between ``w_i - w_old`` and ``w_new - w_old``; none where one of them is zero."""
    distance: float
    """``|w_i - w_new|``."""


class Spool:
    """Updates of one round, appended as they are accepted. Memory: one model while reading, nothing while appending.

    Parameters
    ----------
    size
        Parameters of the model.
    directory
        Where the file lives; on a Pi ``/tmp`` may be memory, so this is the server's data directory.
    """

    def __init__(self, size: int, directory: Path | None = None) -> None:
        self._size = size
        self._clients: dict[str, int] = {}
        try:
            self._file = tempfile.TemporaryFile(dir=directory, buffering=0)
        except OSError as error:
            raise SpoolError(f"spool: no temporary file can be made in {directory} ({error.strerror})") from error

    def append(self, client: str, weights: Weights) -> None:
        """Put a client's weights aside, in place of what that client sent before.

        Raises
        ------
        SpoolError
            If they cannot be written, for instance because the disk is full; those before are kept.
        """
        data = np.ascontiguousarray(weights, np.float32).data.cast("B")
        index = self._clients.get(client, len(self._clients))
        self._file.seek(index * self._size * 4)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise SpoolError(f"spool: the update of {client} could not be put aside ({error.strerror})") from error
        self._clients[client] = index

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[tuple[str, Weights]]:
        """Yield client and weights by client, whoever came first; the array may be written to, and is reused for the next one."""
        weights = np.empty(self._size, np.float32)
        for client, index in sorted(self._clients.items()):
            self._file.seek(index * self._size * 4)
            space = weights.data.cast("B")
            while space:
                count = self._file.readinto(space)
                if not count:
                    raise SpoolError(f"spool: the update of {client} cannot be read back")
                space = space[count:]
            yield client, weights

    def measures(self, old: Weights, new: Weights) -> Iterator[tuple[Measure, Weights]]:
        """Measure every update against the old and the new global model, both of shape (size,).

        Yields
        ------
        tuple
            The measure and the client's weights; the array is reused for the next one.
        """
        for client, weights in self:
            yield measure(client, weights, old, new), weights

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def length(weights: Weights, old: Weights) -> float:
    """Return ``|weights - old|``, or ``|weights|`` for an ``old`` of zeros, summing in float64."""
    total = 0.0
    space = np.empty(min(len(weights), _BLOCK), np.float64)
    for start in range(0, len(weights), _BLOCK):
        part = slice(start, start + _BLOCK)
        moved = np.subtract(weights[part], old[part], out=space[: len(weights[part])], dtype=np.float64)
        total += float(moved @ moved)
    return math.sqrt(total)


def measure(client: str, weights: Weights, old: Weights, new: Weights) -> Measure:
    """Compare one client's weights with the old and the new global model, summing in float64."""
    update = step = along = apart = 0.0
    space = np.empty((3, min(len(weights), _BLOCK)), np.float64)
    for start in range(0, len(weights), _BLOCK):
        part = slice(start, start + _BLOCK)
        moved, wanted, rest = space[:, : len(weights[part])]
        rest[:] = old[part]
        np.subtract(weights[part], rest, out=moved)
        np.subtract(new[part], rest, out=wanted)
        np.subtract(moved, wanted, out=rest)
        update += float(moved @ moved)
        step += float(wanted @ wanted)
        along += float(moved @ wanted)
        apart += float(rest @ rest)
    norms = math.sqrt(update) * math.sqrt(step)
    cosine = min(1.0, max(-1.0, along / norms)) if norms else None
    return Measure(client, math.sqrt(update), cosine, math.sqrt(apart))
