"""Strategies by name. A new one is a file beside ``fedavg.py`` and a line in ``STRATEGIES``, or another package's entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bramble_protocol.errors import BrambleError
from bramble_protocol.features import EXTRAS, SECTIONS
from bramble_protocol.graph import Manifest
from bramble_server.learning import parameters, selection
from bramble_server.learning.offered import Offered
from bramble_server.learning.parameters import Chosen
from bramble_server.learning.strategies import combining
from bramble_server.learning.strategies.around import Around, around
from bramble_server.learning.strategies.base import (
    Aggregate,
    Aside,
    Context,
    Plan,
    State,
    Strategy,
    Update,
    conclude,
    planned,
    shorten,
    shortened,
)
from bramble_server.learning.strategies.combining import Surroundings
from bramble_server.learning.strategies.dp import Dp
from bramble_server.learning.strategies.fedadagrad import FedAdagrad
from bramble_server.learning.strategies.fedadam import FedAdam
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.learning.strategies.fedavgm import FedAvgM
from bramble_server.learning.strategies.feddyn import FedDyn
from bramble_server.learning.strategies.fednova import FedNova
from bramble_server.learning.strategies.fedprox import FedProx
from bramble_server.learning.strategies.fedyogi import FedYogi
from bramble_server.learning.strategies.krum import Krum
from bramble_server.learning.strategies.median import Median
from bramble_server.learning.strategies.multikrum import MultiKrum
from bramble_server.learning.strategies.normbound import NormBound
from bramble_server.learning.strategies.qfedavg import QFedAvg
from bramble_server.learning.strategies.rfa import Rfa
from bramble_server.learning.strategies.scaffold import Scaffold
from bramble_server.learning.strategies.trimmedmean import TrimmedMean

STRATEGIES: dict[str, type[Strategy]] = {
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "fedavgm": FedAvgM,
    "fedadagrad": FedAdagrad,
    "fedadam": FedAdam,
    "fedyogi": FedYogi,
    "fednova": FedNova,
    "scaffold": Scaffold,
    "feddyn": FedDyn,
    "qfedavg": QFedAvg,
    "median": Median,
    "trimmedmean": TrimmedMean,
    "krum": Krum,
    "multikrum": MultiKrum,
    "rfa": Rfa,
    "normbound": NormBound,
    "dp": Dp,
}
"""Those that come with Bramble. No package can take one of these names."""
AROUND = "+"
"""What stands between the names of a strategy and of one that it stands around."""
GROUP = "bramble.strategies"

__all__ = [
    "GROUP",
    "STRATEGIES",
    "Aggregate",
    "Aside",
    "Choice",
    "Context",
    "Plan",
    "State",
    "Strategy",
    "Update",
    "conclude",
    "create",
    "described",
    "kind",
    "named",
    "names",
    "planned",
    "shorten",
    "shortened",
]


@dataclass(frozen=True)
class Choice(Chosen):
    """A strategy and what was set of it."""

    kind: type[Strategy]

    def make(self) -> Strategy:
        """Return a new object, for one round."""
        return self.kind(self.parameters)

    @property
    def remembers(self) -> bool:
        """Whether anything is stored with a model."""
        return self.kind.state is not Strategy.state

    @property
    def needs(self) -> tuple[str, ...]:
        """The features that a client must have to be asked.

        Raises
        ------
        BrambleError
            If the strategy does not say so in a way that any client could have them.
        """
        try:
            needed = tuple(self.make().needs)
        except BrambleError:
            raise
        except Exception as error:  # of a third party
            raise BrambleError(
                f"strategy: {self.name} does not say what it needs ({type(error).__name__}: {error}); ask its author"
            ) from error
        if unknown := [name for name in needed if name not in EXTRAS]:
            raise BrambleError(
                f"strategy: {self.name} needs {unknown[0]!r}, which no client knows, only {', '.join(EXTRAS)}; ask its author"
            )
        return (SECTIONS, *needed) if needed else ()

    def check(self, manifest: Manifest) -> None:
        """Check that a task's graph can do what clients will be asked.

        Raises
        ------
        BrambleError
            If it is of format 1, whose steps cannot be corrected, or as for ``needs``.
        """
        self._combine(Surroundings(graph=f"format {manifest.format}"), manifest.task)

    def suit(
        self, mode: str, clients: int, updates: int, codec: str = "float32", discipline: str = "synchronous",
        chosen: selection.Choice | None = None, count: int | None = None, secure: bool = False,
    ) -> None:  # fmt: skip
        """Check that a server's settings and the strategy combine.

        Parameters
        ----------
        mode
            The server's.
        clients, updates
            With how many a round starts, and of how many it makes a model at least.
        codec
            By which updates travel.
        discipline
            Of its rounds.
        chosen, count
            Who of them are asked, if not all, and how many, where that is a number.
        secure
            Whether updates are seen in a sum alone.

        Raises
        ------
        BrambleError
            If they do not, or as for ``needs``.
        """
        around = Surroundings(
            mode=mode, clients=count or clients, updates=updates, codec=codec, discipline=discipline, chosen=count is not None,
            sum=combining.SECURE if secure else "plain",
        )  # fmt: skip
        if chosen is not None:
            around = replace(around, selection=chosen.name, by_loss=chosen.kind.by_loss, coins=chosen.kind.coins)
        self._combine(around)

    def _combine(self, around: Surroundings, task: str = "") -> None:
        _ = self.needs
        try:
            combining.check(self.name, self.make(), around, task)
        except BrambleError:
            raise
        except Exception as error:  # of a third party
            raise BrambleError(
                f"strategy: {self.name} does not say how much it blends ({type(error).__name__}: {error}); ask its author"
            ) from error


def names() -> list[str]:
    """Return the names of all strategies, Bramble's and other packages'; nothing is imported for it."""
    return OFFERED.names()


def kind(name: str) -> type[Strategy]:
    """Return the class of a name, or of one strategy around another, such as ``normbound+fedadam``.

    Raises
    ------
    BrambleError
        If there is none of that name, or the package that offers it is broken: then the sentence names that package.
    """
    outer, plus, inner = name.partition(AROUND)
    found = OFFERED.kind(outer)
    if plus and not issubclass(found, Around):
        raise BrambleError(f"strategy: {outer} stands around no other; normbound and dp do")
    return around(found, kind(inner)) if plus else found


def named(name: str, options: Mapping[str, Any]) -> Choice:
    """Return what a server is to go by.

    Parameters
    ----------
    options
        Values of parameters by name, as settings have them.

    Raises
    ------
    BrambleError
        If there is no such strategy or parameter, or a value is of another type or out of range.
    """
    found = kind(name)
    return Choice(name, parameters.read(found.takes, options, name), found)


def create(name: str, **options: Any) -> Strategy:
    """Return a strategy for one round, as :func:`named` does.

    Raises
    ------
    BrambleError
        As there.
    """
    return named(name, options).make()


def _halves(found: type[Strategy]) -> str | None:
    if (found.state is Strategy.state) != (found.restore is Strategy.restore):
        return f"{found.__name__} overrides one of state and restore, and they go together"
    if (found.extras is Strategy.extras) != (found.needs is Strategy.needs):
        return f"{found.__name__} overrides one of extras and needs, and they go together"
    return None


OFFERED = Offered("strategy", GROUP, STRATEGIES, Strategy, _halves)
"""All that there are."""
