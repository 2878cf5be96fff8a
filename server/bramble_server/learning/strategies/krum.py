"""Krum: the update of the one client that has most others near it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.learning.aggregate import AggregateError
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.blocks import Blockwise, Kept, Vector, mean

NARROW = 1 << 12
"""Columns of which products are taken at a time, in float64: a few clients' stay in the processor's cache."""


@dataclass(frozen=True)
class Liars(Parameters):
    """What can be set of Krum."""

    liars: int = parameter(1, "Clients that may lie; a round takes at least twice as many and three.", least=0, most=10_000)


class Krum(Blockwise):
    """The update of the one client that has most others near it: for few liars who may send anything.

    With ``n`` updates and ``f`` liars the score of each is the sum of its squared distances to the ``n - f - 2`` nearest others (Blanchard
    et al. 2017, section 4); the one with the least becomes the model. It takes ``n >= 2 f + 3``. All clients count the same.
    """

    takes = Liars
    partial = False
    parameters: Liars

    @property
    def least(self) -> int:
        """Twice the liars and three."""
        return 2 * self.parameters.liars + 3

    def chosen(self, updates: int) -> int:
        """Return of how many updates the model is the mean."""
        return 1

    def blends(self, updates: int) -> int:
        """Return how many are chosen."""
        return self.chosen(updates)

    def memory(self, clients: int, size: int) -> int:
        """Return what the distances of all from all take, too."""
        return super().memory(clients, size) + 4 * 8 * clients**2

    def finish(self) -> Weights:
        """Take the mean of those that are chosen.

        Raises
        ------
        AggregateError
            If so many updates were left out that none would have another beside it.
        """
        updates = self.updates
        if len(updates) < self.parameters.liars + 3:
            raise AggregateError(f"aggregate: {len(updates)} updates count, too few to tell {self.parameters.liars} liars among them")
        scores = self._scores(updates)
        best = [updates[i] for i in sorted(np.argsort(scores, kind="stable")[: self.chosen(len(updates))])]
        return self.columnwise(best, lambda table: mean(table, np.full(len(best), 1 / len(best))))

    def _scores(self, updates: list[Kept]) -> Vector:
        count = len(updates)
        products = np.zeros((count, count))
        space = np.empty((count, min(NARROW, len(self._model))))
        for where, table in self.blocks(updates):
            model = self._model[where]
            for start in range(0, len(model), NARROW):
                part = slice(start, start + NARROW)
                moved = space[:, : len(model[part])]
                np.subtract(table[:, part], model[part], out=moved)  # or what all have in common would round their distances away
                products += moved @ moved.T
        squares = products.diagonal()
        distances = squares[:, None] + squares - 2 * products
        np.fill_diagonal(distances, np.inf)
        distances.sort(axis=1)
        found: Vector = np.maximum(distances, 0)[:, : count - self.parameters.liars - 2].sum(axis=1)
        return found
