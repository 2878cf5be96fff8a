"""Trimmed mean: of each parameter the mean of what most clients say, without the largest and smallest of their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.blocks import Blockwise, Table, Vector


@dataclass(frozen=True)
class Trim(Parameters):
    """What can be set of the trimmed mean."""

    share: float = parameter(0.2, "Part of the clients left out at each end: as many liars do no harm.", least=0, below=0.5)


class TrimmedMean(Blockwise):
    """Of each parameter the mean without its largest and smallest values: for fleets in which a known part may lie.

    Coordinate-wise trimmed mean (Yin et al. 2018, definition 2 and algorithm 1, option II): of the ``n`` values of each parameter the
    ``floor(share n)`` largest and as many smallest are left out. With no more liars than that, each parameter lies between honest ones.
    All clients count the same, however much data they say that they have.
    """

    takes: ClassVar[type[Parameters]] = Trim
    partial = False
    parameters: Trim

    def trimmed(self, updates: int) -> int:
        """Return how many values are left out at each end."""
        return int(self.parameters.share * updates + 1e-9)  # 0.29 of 100 is 28.999999999999996

    def blends(self, updates: int) -> int:
        """Return how many are left."""
        return updates - 2 * self.trimmed(updates)

    def finish(self) -> Weights:
        """Take the mean of the middle."""
        updates = self.updates
        first = self.trimmed(len(updates))
        last = len(updates) - 1 - first

        def middle(table: Table) -> Vector:
            table.partition([first, last], axis=0)
            found: Vector = table[first : last + 1].mean(axis=0, dtype=np.float64)
            return found

        return self.columnwise(updates, middle)
