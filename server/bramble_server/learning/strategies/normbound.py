"""Norm bound: no client moves the model further than so far, whatever becomes of its update then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cache
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from bramble_protocol.errors import BrambleError
from bramble_protocol.features import CONTROL
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Extras, TrainConfig
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.base import Context, State, Strategy, Update, shorten, shortened
from bramble_server.learning.strategies.fedavg import FedAvg


@dataclass(frozen=True)
class Bound(Parameters):
    """What can be set of the norm bound, beside what it stands around."""

    bound: float = parameter(1.0, "Length |w_k - w| to which a longer update is shortened.", above=0, most=1e6)


class NormBound(Strategy):
    """Shortens updates that are longer than a bound, around FedAvg or, as normbound+NAME, around any other: for loud liars.

    ``w_k <- w + (w_k - w) / max(1, |w_k - w| / bound)`` (Sun et al. 2019, section 4, norm thresholding), which the strategy it stands
    around is then given. So ``f`` liars of equal samples among ``n`` clients move FedAvg's model by ``f / n`` of the bound at most.
    """

    takes: ClassVar[Any] = Bound
    inner: ClassVar[type[Strategy]] = FedAvg
    """What it stands around."""
    parameters: Any
    copies = FedAvg.copies + 2

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        kind = self.inner.takes
        self._inner = self.inner(kind(**{item.name: getattr(self.parameters, item.name) for item in fields(kind)}))
        if CONTROL in self._inner.needs:
            raise BrambleError(
                "strategy: normbound cannot stand around a strategy whose clients keep a control, which would pass it as long as it is"
            )

    @property
    def least(self) -> int:
        """As many as the other."""
        return self._inner.least

    def blends(self, updates: int) -> int:
        """Return as many as the other."""
        return self._inner.blends(updates)

    def memory(self, clients: int, size: int) -> int:
        """Return what the other takes, and a shortened update."""
        return self._inner.memory(clients, size) + 8 * size

    @property
    def needs(self) -> tuple[str, ...]:
        """What the other needs."""
        return self._inner.needs

    def plan(self, context: Context, clients: Sequence[str]) -> Mapping[str, TrainConfig]:
        """Have clients train as the other says."""
        return self._inner.plan(context, clients)

    def extras(self, context: Context, clients: Sequence[str]) -> Mapping[str, Extras]:
        """Ask what the other asks."""
        return self._inner.extras(context, clients)

    def restore(self, state: State) -> None:
        """Give the other what it remembered."""
        self._inner.restore(state)

    def begin(self, model: Weights) -> None:
        """Keep the model that updates are compared with."""
        self._model = model
        self._inner.begin(model)

    def fold(self, update: Update) -> None:
        """Hand it on, perhaps shortened."""
        length, model = _length(update.weights, self._model), self._model
        if length > self.parameters.bound:
            weights, reach = update.weights.copy(), self.parameters.bound / length
            shorten(weights, model, reach)
            update = replace(update, weights=weights, aside=update.aside and shortened(update.aside, model, reach))
        self._inner.fold(update)

    def finish(self) -> Weights:
        """Return what the other makes of them."""
        return self._inner.finish()

    def state(self) -> State:
        """Remember what the other does."""
        return self._inner.state()


@cache
def around(kind: type[Strategy]) -> type[NormBound]:
    """Return the norm bound around a strategy: it takes what that one takes, and the bound.

    Raises
    ------
    BrambleError
        If that one takes a ``bound`` already, as the norm bound itself does.
    """
    if any(item.name == "bound" for item in fields(kind.takes)):
        raise BrambleError("strategy: normbound cannot stand around a strategy that has a parameter bound of its own")
    takes = make_dataclass(f"{kind.takes.__name__}Bound", [], bases=(Bound, kind.takes), frozen=True)
    said = {
        "__module__": __name__,
        "takes": takes,
        "inner": kind,
        "streams": kind.streams,
        "partial": kind.partial,
        "copies": kind.copies + 2,
        "__doc__": NormBound.__doc__,
    }
    return type(f"NormBound{kind.__name__}", (NormBound,), said)


def _length(weights: Weights, model: Weights) -> float:
    change = weights - model
    return sqrt(float(np.einsum("i,i", change, change, dtype=np.float64)))
