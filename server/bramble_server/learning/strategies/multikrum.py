"""Multi-Krum: the mean of those clients that have most others near them."""

from __future__ import annotations

from dataclasses import dataclass

from bramble_server.learning.parameters import parameter
from bramble_server.learning.strategies.krum import Krum, Liars


@dataclass(frozen=True)
class Several(Liars):
    """What can be set of Multi-Krum."""

    chosen: int = parameter(0, "Updates of which the model is the mean; 0: all but the liars.", least=0, most=10_000)


class MultiKrum(Krum):
    """The mean of those clients that have most others near them: as Krum, and less jumpy from round to round.

    Those ``chosen`` updates with the least scores of Krum (Blanchard et al. 2017, section 4, Multi-Krum), counted alike; without a number
    ``n - f`` of them.
    """

    takes = Several
    parameters: Several

    def chosen(self, updates: int) -> int:
        """Return how many are to be chosen, and no more than there are."""
        return min(updates, self.parameters.chosen or updates - self.parameters.liars)
