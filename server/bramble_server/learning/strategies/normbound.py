"""Norm bound: no client moves the model further than so far, whatever becomes of its update then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from bramble_protocol.features import CONTROL
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.around import Around
from bramble_server.learning.strategies.base import Strategy, Update, distance, shorten, shortened


@dataclass(frozen=True)
class Bound(Parameters):
    """What can be set of the norm bound, beside what it stands around."""

    bound: float = parameter(1.0, "Length |w_k - w| to which a longer update is shortened.", above=0, most=1e6)


class NormBound(Around):
    """Shortens updates that are longer than a bound, around FedAvg or, as normbound+NAME, around any other: for loud liars.

    ``w_k <- w + (w_k - w) / max(1, |w_k - w| / bound)`` (Sun et al. 2019, section 4, norm thresholding), which the strategy it stands
    around is then given. So ``f`` liars of equal samples among ``n`` clients move FedAvg's model by ``f / n`` of the bound at most.
    """

    takes: ClassVar[Any] = Bound
    called = "normbound"

    @classmethod
    def refuses(cls, inner: Strategy) -> str | None:
        """Refuse what it cannot bound."""
        return "whose clients keep a control, which would pass it as long as it is" if CONTROL in inner.needs else None

    def fold(self, update: Update) -> None:
        """Hand it on, perhaps shortened."""
        length, model = distance(update.weights, self._model), self._model
        if length > self.parameters.bound:
            weights, reach = update.weights.copy(), self.parameters.bound / length
            shorten(weights, model, reach)
            update = replace(update, weights=weights, aside=update.aside and shortened(update.aside, model, reach))
        self._inner.fold(update)
