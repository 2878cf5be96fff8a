"""What strategies have in common that must see all updates at once: they read what was put aside in blocks of columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.layout import Weights
from bramble_server.learning.aggregate import BLOCK, AggregateError, finite
from bramble_server.learning.strategies.base import Aside, Strategy, Update

TABLE = 16 << 20
"""Bytes of the table in which all clients' parts of a block stand below each other, unless they are very many."""
NARROWEST = 64
"""Columns that a table has at least: a read of fewer from the disk costs more than what it brings."""
Vector = NDArray[np.float64]
Table = NDArray[np.float32]


class Kept(NamedTuple):
    """An update that is read later: whose, for how many samples, and where its weights are."""

    client: str
    samples: int
    read: Aside


class Blockwise(Strategy):
    """Keeps of each update where it was put aside, and makes the next model block by block, in one pass over them or in several.

    Updates are taken in the order of their clients' names, so the bits do not depend on that of their arrival. Must override: ``finish``,
    which goes through ``blocks``.
    """

    streams = False
    copies = 2

    def begin(self, model: Weights) -> None:
        """Start with no update."""
        self._model, self._updates = model, list[Kept]()

    def fold(self, update: Update) -> None:
        """Keep where it is; one that was not put aside is copied."""
        self._updates.append(Kept(update.client, update.samples, update.aside or _copied(update.weights)))

    def memory(self, clients: int, size: int) -> int:
        """Return what the models, the table and a copy of it in float64 take."""
        return round(4 * size * self.copies) + (12 * clients + 32) * _columns(clients, size)

    @property
    def updates(self) -> list[Kept]:
        """All that count, in order.

        Raises
        ------
        AggregateError
            If there is none.
        """
        if not self._updates:
            raise AggregateError("aggregate: no update was added")
        return sorted(self._updates, key=attrgetter("client"))

    def blocks(self, updates: list[Kept]) -> Iterator[tuple[slice, Table]]:
        """Yield, part by part of the model, which it is and a row of each update's numbers in it; they may be written to."""
        size = len(self._model)
        table = np.empty((len(updates), _columns(len(updates), size)), np.float32)
        for start in range(0, size, table.shape[1]):
            part = table[:, : size - start]
            for row, update in zip(part, updates, strict=True):
                update.read(start, row)
            yield slice(start, start + part.shape[1]), part

    def columnwise(self, updates: list[Kept], work: Callable[[Table], Vector]) -> Weights:
        """Return the model of which each block is made from the updates' by itself, in float64."""
        made = np.empty_like(self._model)
        with np.errstate(over="ignore"):  # whoever asked for the result sees whether it is finite
            for where, table in self.blocks(updates):
                made[where] = work(table)
        return finite(made)

    @abstractmethod
    def finish(self) -> Weights:
        """Make the next model of ``updates``."""


def mean(table: Table, weights: Vector) -> Vector:
    """Return the mean of rows by weights that add up to 1, row by row: the bits are the same on any number of processors."""
    total, scaled = np.zeros(table.shape[1]), np.empty(table.shape[1])
    for row, weight in zip(table, weights, strict=True):
        total += np.multiply(row, weight, out=scaled)
    return total


def _columns(clients: int, size: int) -> int:
    return max(1, min(size, BLOCK, max(NARROWEST, TABLE // (4 * max(1, clients)))))


def _copied(weights: Weights) -> Aside:
    copy = weights.copy()

    def read(start: int, part: Weights) -> None:
        part[:] = copy[start : start + len(part)]

    return read
