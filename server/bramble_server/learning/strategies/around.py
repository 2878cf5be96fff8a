"""A strategy around another: it changes the updates, and has the other make the model of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, make_dataclass
from functools import cache
from typing import Any, ClassVar

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Extras, TrainConfig
from bramble_server.learning.parameters import Parameters
from bramble_server.learning.strategies.base import Context, State, Strategy, Update
from bramble_server.learning.strategies.fedavg import FedAvg


class Around(Strategy):
    """Has FedAvg, or whatever it stands around, do all that it does not do itself.

    Must override: ``takes``, and ``fold`` or ``finish``. May override ``refuse``.
    """

    takes: ClassVar[Any]
    inner: ClassVar[type[Strategy]] = FedAvg
    """What it stands around."""
    called: ClassVar[str]
    """Its own name."""
    beside: ClassVar[float] = 2
    """Vectors as long as the model, in float32, that it takes beside what the other does."""
    parameters: Any
    copies = FedAvg.copies + 2

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        kind = self.inner.takes
        self._inner = self.inner(kind(**{item.name: getattr(self.parameters, item.name) for item in fields(kind)}))
        if reason := self.refuses(self._inner):
            raise BrambleError(f"strategy: {self.called} cannot stand around a strategy {reason}")

    @classmethod
    def refuses(cls, inner: Strategy) -> str | None:
        """Say what about a strategy does not let it stand around that one; by default nothing."""
        return None

    @property
    def least(self) -> int:
        """As many as the other."""
        return self._inner.least

    def blends(self, updates: int) -> int:
        """Return as many as the other."""
        return self._inner.blends(updates)

    def memory(self, clients: int, size: int) -> int:
        """Return what the other takes, and what it takes itself."""
        return self._inner.memory(clients, size) + round(4 * self.beside * size)

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
        """Hand it on."""
        self._inner.fold(update)

    def finish(self) -> Weights:
        """Return what the other makes of them."""
        return self._inner.finish()

    def state(self) -> State:
        """Remember what the other does."""
        return self._inner.state()


@cache
def around(outer: type[Around], kind: type[Strategy]) -> type[Around]:
    """Return one strategy around another: it takes what both take.

    Raises
    ------
    BrambleError
        If both have a parameter of one name, as where one stands around itself.
    """
    own = [item.name for item in fields(outer.takes)]
    if twice := [item.name for item in fields(kind.takes) if item.name in own]:
        raise BrambleError(f"strategy: {outer.called} cannot stand around a strategy that has a parameter {twice[0]} of its own")
    takes = make_dataclass(f"{kind.takes.__name__}{outer.takes.__name__}", [], bases=(outer.takes, kind.takes), frozen=True)
    said = {
        "__module__": __name__,
        "takes": takes,
        "inner": kind,
        "streams": kind.streams,
        "partial": kind.partial,
        "copies": kind.copies + outer.beside,
        "__doc__": outer.__doc__,
    }
    return type(f"{outer.__name__}{kind.__name__}", (outer,), said)
