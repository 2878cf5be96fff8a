"""What a strategy is: how a round's clients are to train, and how their updates become the next global model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.accountant import Release
from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Extras, TrainConfig
from bramble_protocol.messages.extras import NOTHING
from bramble_protocol.secure.noised import Noise
from bramble_server.learning.aggregate import AggregateError, finite
from bramble_server.learning.parameters import Parameters

State = Mapping[str, NDArray[Any]]
"""What a strategy remembers with a model: finite numbers in arrays of any shape, by names of at most 63 characters."""


Aside = Callable[[int, Weights], None]
"""Fills an array with the weights of an update that was put aside, from a place on; as often as is wanted until the round is over."""


@dataclass(frozen=True)
class Context:
    """What a round starts from."""

    round: int
    model: Weights = field(repr=False)
    """The global model, shape (parameters,), not to be written to."""
    config: TrainConfig
    """How clients train by the task and the server's settings."""
    drawn: int | None = None
    """Seed of what the strategy draws itself. A server gives none, and noise is drawn from what nobody can know; a simulation repeats."""
    expected: float | None = None
    """How many clients were to be expected, where each is asked by a coin of its own: how many there are would tell of the coins."""


@dataclass(frozen=True)
class Update:
    """One client's work, as far as a strategy sees it."""

    client: str
    samples: int
    """Training windows behind it, at least 1 and at most a few times the cohort's median."""
    weights: Weights = field(repr=False)
    """The client's weights after training, not their change: shape (parameters,), float32, finite. An update that is much longer
    than the others' comes shortened. Valid during the call only, and not to be written to."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What the client measured: ``loss_before``, ``loss_after`` and others."""
    steps: int | None = None
    """Local steps that it took; None where it was not asked."""
    since: int | None = None
    """The round whose control it began with, where it keeps one; 0: it began with zeros."""
    staleness: int = 0
    """Models committed since the one that it was trained from; 0 in a synchronous round."""
    sections: Mapping[str, Weights] = field(default_factory=dict, repr=False)
    """Vectors that came beside the weights, by name, as the weights otherwise, but never shortened."""
    aside: Aside | None = field(default=None, repr=False)
    """Reads these weights later, in parts; None where they were not put aside."""


def distance(weights: Weights, model: Weights) -> float:
    """Return how far a client's weights are from the model that it started from: the length of their difference."""
    change = weights - model
    return sqrt(float(np.einsum("i,i", change, change, dtype=np.float64)))


def shorten(weights: Weights, model: Weights, reach: float) -> None:
    """Leave of a client's weights, in place, so much of their way from the model that it started from."""
    weights -= model
    weights *= np.float32(reach)
    weights += model


def shortened(aside: Aside, model: Weights, reach: float) -> Aside:
    """Return what reads an update's weights shortened, with the bits that :func:`shorten` gives."""

    def read(start: int, part: Weights) -> None:
        aside(start, part)
        shorten(part, model[start : start + len(part)], reach)

    return read


@dataclass(frozen=True)
class Plan:
    """What one client is asked in a round."""

    config: TrainConfig
    extras: Extras = NOTHING


class Strategy(ABC):
    """Says how a round's clients train, and turns their updates into the next global model.

    An object serves one round. It is made with the parameters that the server was given, and ``restore`` hands it what was stored
    with the model that the round starts from; what it returns from ``state`` is stored with the model that it makes, in the same
    transaction. Nothing else lasts. So a commit that fails, a restart, a rollback and a reset need no care in a strategy: the next
    round's object begins with what belongs to the model that is.

    Must override: ``begin``, ``fold``, ``finish``. May override: ``plan``, ``extras`` and ``needs`` (both or neither), ``state`` and
    ``restore`` (both or neither), and what the class says of itself: ``takes``, ``linear``, ``streams``, ``partial``, ``compared``,
    ``copies``, and ``least``, ``blends``, ``memory`` and ``release``, which go by what was set. The methods are called in the order
    ``restore`` (if there is something), ``plan``, ``extras``, ``begin``, ``fold`` for each update that counts, ``finish``, ``state``;
    one at a time, though not all by one thread. The first line of the docstring is what ``bramble strategies`` says.
    """

    takes: ClassVar[type[Parameters]] = Parameters
    """What can be set: a frozen dataclass, each field made by :func:`~bramble_server.learning.parameters.parameter`."""
    linear: ClassVar[bool] = False
    """Whether the next model depends on the updates through ``sum(samples * weights)`` and ``sum(samples)`` alone: a secure sum will do."""
    summable: ClassVar[bool] = False
    """Whether clients of a secure sum can do to their updates what it does, and add its noise: it overrides ``shared`` and ``summed``."""
    streams: ClassVar[bool] = True
    """Whether an update is done with when ``fold`` returns; otherwise what a round takes grows with its clients."""
    partial: ClassVar[bool] = True
    """Whether updates will do of which only the largest changes came, the others later: not where the next model goes by what most clients
    say of a number, or by a few clients, for each says nothing of most numbers, and what was not counted never comes again."""
    compared: ClassVar[bool] = True
    """Whether the server first compares a round's updates with each other: leaves out what is odd, and shortens what is long beside the
    others'. Not where one client must not change what becomes of another's.
    """
    copies: ClassVar[float] = 4
    """Vectors as long as the model, in float32, that a round takes beside the model; see ``memory`` for one that does not stream."""

    parameters: Any
    """What was set, of the class that it ``takes``."""

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = self.takes() if parameters is None else parameters

    def plan(self, context: Context, clients: Sequence[str]) -> Mapping[str, TrainConfig]:
        """Return how each of the round's clients is to train; by default all alike, as task and settings say.

        The same arguments must give the same answer: a client that was away is asked again with it.
        """
        return dict.fromkeys(clients, context.config)

    @property
    def least(self) -> int:
        """Updates without which there is no result, those that are left out among them; fewer clients are not asked."""
        return 1

    def blends(self, updates: int) -> int:
        """Return of how many clients' weights, at least, each number of the next model is made of, if so many updates count."""
        return updates

    def memory(self, clients: int, size: int) -> int:
        """Return the bytes that a round of so many clients takes beside a model of so many parameters; by default all updates at once
        where they do not stream.
        """
        return round(4 * size * (self.copies + (0 if self.streams else clients)))

    @property
    def release(self) -> Release | None:
        """What a round costs of a privacy budget; None where the next model may tell of a single client whatever there is."""
        return None

    def measures(self) -> Mapping[str, float]:
        """Return what may be told of what a round's clients measured, once its model is made.

        Called where there is a :attr:`release` alone: then nothing else of what they measured is told or kept.
        """
        return {}

    def shared(self, least: int) -> Noise:
        """Return what each client does to its own update where at least so many are in a secure sum.

        Called once it is planned, where it is ``summable``; :meth:`summed` follows ``begin`` then, in place of ``fold``.
        """
        raise NotImplementedError

    def summed(self, change: NDArray[np.float64], totals: Mapping[str, float]) -> None:
        """Take what a secure sum with noise says: the sum of changes, shape (parameters,), and what was told beside it."""
        raise NotImplementedError

    @property
    def needs(self) -> tuple[str, ...]:
        """What clients must be able to do beyond plain training, of :data:`bramble_protocol.features.EXTRAS`; others are not asked."""
        return ()

    def extras(self, context: Context, clients: Sequence[str]) -> Mapping[str, Extras]:
        """Return what clients are asked beyond plain training, as ``plan`` does; of those that it does not name, nothing is.

        One object for all clients that are asked the same has it encoded once.
        """
        return {}

    def restore(self, state: State) -> None:
        """Take what ``state`` returned when the model was made that this round starts from; the arrays are not to be written to."""
        raise NotImplementedError

    @abstractmethod
    def begin(self, model: Weights) -> None:
        """Start to aggregate, from the current global model, shape (parameters,), which is not to be written to."""

    @abstractmethod
    def fold(self, update: Update) -> None:
        """Take one client's update in; called for those that count, in the order of the clients' names, when the last has come.

        Raises
        ------
        BrambleError
            To leave the update out, with a sentence for the round's history; nothing may have changed by then.
        """

    @abstractmethod
    def finish(self) -> Weights:
        """Return the next global model, shape (parameters,), float32; called after at least one ``fold``.

        Raises
        ------
        AggregateError
            If there is no result. The round is then abandoned, as it is if the result is not finite.
        """

    def state(self) -> State:
        """Return what the next round needs to know, once ``finish`` has returned; by default nothing."""
        return {}


@dataclass(frozen=True)
class Aggregate:
    """What a round came to: the next global model, and what its strategy remembers with it."""

    weights: Weights = field(repr=False)
    state: State = field(repr=False)


def planned(strategy: Strategy, context: Context, clients: Sequence[str]) -> dict[str, Plan]:
    """Return a strategy's plan for a round.

    Raises
    ------
    BrambleError
        If it is not one for these clients, they are too few, or a client would not take it.
    """
    name, least = type(strategy).__name__, strategy.least
    if len(clients) < least:
        raise BrambleError(f"{name}: as it is set it makes nothing of fewer than {least} clients, and {len(clients)} would be asked")
    configs, extras = dict(strategy.plan(context, clients)), dict(strategy.extras(context, clients))
    odd = configs.keys() ^ set(clients) or extras.keys() - set(clients)
    if odd:
        first = min(odd)
        raise BrambleError(
            f"{name}: its plan for the round {'leaves out' if first in clients else 'names a stranger,'} {first}; ask its author"
        )
    for config in set(configs.values()):
        TrainConfig.from_wire(vars(config))
    for asked in {each.kind: each for each in extras.values()}.values():
        _check(asked, strategy, context.model)
    return {client: Plan(config, extras.get(client, NOTHING)) for client, config in configs.items()}


def _check(asked: Extras, strategy: Strategy, model: Weights) -> None:
    name = type(strategy).__name__
    if unsaid := set(asked.features) - set(strategy.needs):
        raise BrambleError(f"{name}: it asks clients for {min(unsaid)}, which is not among what it needs; ask its author")
    for section, vector in asked.vectors.items():
        if not isinstance(vector, np.ndarray) or vector.shape != model.shape or vector.dtype != np.float32:
            raise BrambleError(f"{name}: its {section} is no vector of {len(model)} numbers in float32; ask its author")
    Extras.from_wire(asked.to_wire(), asked.vectors)


def conclude(strategy: Strategy, model: Weights) -> Aggregate:
    """End a round's aggregation.

    Parameters
    ----------
    model
        The one that the round started from, shape (parameters,).

    Raises
    ------
    AggregateError
        If the next model, or what is to be remembered with it, is not of the right kind or not finite.
    """
    weights, name = strategy.finish(), type(strategy).__name__
    if not isinstance(weights, np.ndarray) or weights.shape != model.shape or weights.dtype != np.float32:
        raise AggregateError(f"{name}: what it made is no model of {len(model)} numbers in float32; ask its author")
    state = {}
    for key, values in strategy.state().items():
        array = np.asarray(values)
        if not isinstance(key, str) or not 0 < len(key) <= 63 or array.dtype.kind not in "biuf":
            raise AggregateError(f"{name}: {key!r} of its state is no array of numbers, or its name has over 63 characters; ask its author")
        if not np.isfinite(array).all():
            raise AggregateError(f"{name}: {key} of its state is not finite")
        state[key] = array
    return Aggregate(finite(weights), state)
