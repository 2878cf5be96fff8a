"""What a selection is: which of the clients that could take part are asked in a round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError
from bramble_server.learning.parameters import Parameters


@dataclass(frozen=True)
class Known:
    """What rounds before told of one client; None is what none did."""

    asked: int | None = None
    """The last round that it was asked for."""
    answered: int | None = None
    """The last round in which an update of it counted."""
    samples: int | None = None
    """Training windows behind that."""
    loss: float | None = None
    """Mean loss of the model that it was sent, on those windows."""
    times: int = 0
    """In how many of the rounds that are remembered it was asked."""
    seconds: float | None = None
    """From being asked to its answer, when it last was: at least so many, where it was too late or not waited for."""


NOTHING = Known()


@dataclass(frozen=True)
class Call:
    """What a choice may depend on, and nothing else: the same call has the same answer."""

    round: int
    seed: int
    count: int
    """How many clients are wanted, fewer than there are."""
    known: Mapping[str, Known] = field(default_factory=dict)
    utilities: Mapping[int, float] = field(default_factory=dict)
    """Of each of the last rounds, by number: samples times loss, summed over the clients whose updates counted."""
    share: float = 1.0
    """The probability with which each is to be asked, where a selection tosses ``coins``."""

    def of(self, client: str) -> Known:
        """Return what is known of a client."""
        return self.known.get(client, NOTHING)

    def generator(self) -> np.random.Generator:
        """Return what draws for this round."""
        return np.random.default_rng([self.seed, self.round])


class Selection(ABC):
    """Chooses the clients of a round.

    Must override: ``choose``, which is a pure function of the call and the clients; an object serves one choice. May override what the
    class says of itself: ``takes`` and ``by_loss``. The first line of the docstring is what ``bramble strategies`` says.
    """

    takes: ClassVar[type[Parameters]] = Parameters
    """What can be set: a frozen dataclass, each field made by :func:`~bramble_server.learning.parameters.parameter`."""
    by_loss: ClassVar[bool] = False
    """Whether it goes by what clients say of their loss, which private mode does not have of all."""

    coins: ClassVar[bool] = False
    """Whether each client is asked by a coin of its own, whoever else is: then any number may be chosen."""

    parameters: Any
    """What was set, of the class that it ``takes``."""

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = self.takes() if parameters is None else parameters

    @abstractmethod
    def choose(self, call: Call, clients: Sequence[str]) -> Collection[str]:
        """Return ``call.count`` of the clients, which come in order of their names and are more than that."""


def cohort(selection: Selection, call: Call, clients: Collection[str]) -> tuple[str, ...]:
    """Return the clients that a round asks, in order; all of them where no more are wanted.

    Raises
    ------
    BrambleError
        If the selection failed, or returned others than it was given, one twice, or another number.
    """
    able = sorted(set(clients))
    if len(able) <= call.count and not selection.coins:
        return tuple(able)
    name = type(selection).__name__
    try:
        chosen = list(selection.choose(call, able))
    except Exception as error:  # of a third party
        raise BrambleError(f"selection: {name} failed ({type(error).__name__}: {' '.join(str(error).split())[:200]})") from error
    odd = len(chosen) != call.count and not selection.coins
    if odd or len(set(chosen)) != len(chosen) or not set(chosen) <= set(able):
        raise BrambleError(f"selection: {name} was to choose {call.count} of {len(able)} clients, each once, and did not; ask its author")
    return tuple(sorted(chosen))


def drawn(
    generator: np.random.Generator, clients: Sequence[str], count: int, weights: Sequence[float] | NDArray[np.float64] | None = None
) -> list[str]:
    """Draw clients without putting them back, each time in proportion to the weights of those that are left.

    As many exponential clocks run as there are clients, each at the rate of its weight; the first to ring are drawn (Efraimidis and
    Spirakis 2006). Weights are at least 0; without them all are alike.
    """
    rates = np.ones(len(clients)) if weights is None else np.asarray(weights, np.float64)
    with np.errstate(divide="ignore"):
        rings = generator.exponential(size=len(clients)) / rates
    return [clients[index] for index in np.argsort(rings, kind="stable")[:count]]
