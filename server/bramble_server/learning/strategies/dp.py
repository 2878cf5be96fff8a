"""Differential privacy, kept by the server: what a round adds to the model is bounded for each client, and drowned in noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.accountant import Release
from bramble_protocol.layout import Weights
from bramble_protocol.messages import TrainConfig
from bramble_protocol.privacy import RELATIVE, relative
from bramble_protocol.secure.noised import Noise
from bramble_server.learning.aggregate import AggregateError
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.around import Around
from bramble_server.learning.strategies.base import Context, State, Strategy, Update, distance


@dataclass(frozen=True)
class Noisy(Parameters):
    """What can be set of the noise, beside what it stands around."""

    clip: float = parameter(1.0, "Length |w_k - w| to which a longer update is shortened; where it adapts, the first.", above=0, most=1e6)
    noise_multiplier: float = parameter(1.0, "Deviation of the noise in the sum of updates, over clip.", above=0, most=1e4)
    quantile: float = parameter(
        0.0, "Part of the updates that clip is to leave as they are, and goes after; 0: it stays what it is.", least=0, below=1
    )
    measured: float = parameter(
        0.1,
        "Part of what a round costs that may go into telling how well the model does, with noise; 0: nothing is told.",
        least=0,
        most=0.5,
    )
    colluding: int = parameter(
        0, "With --secure: clients of a round whose noise is not counted on, for they may tell the server of it.", least=0, most=4095
    )


COUNTED = 20
"""Clients for each deviation of the noise in what is counted or measured beside the sum (Andrew et al. 2021, section 3.1)."""
PACE = 0.2
"""How fast the clip goes after its quantile, a round (as there)."""
_CLIP = "dp:clip"


class Dp(Around):
    """Shortens each update and adds noise to their sum, around FedAvg or, as dp+NAME, around another that takes a sum: nobody stands out.

    DP-FedAvg (McMahan et al. 2018, algorithm 1) with each client counted alike and noise by the server::

        w <- w + (sum_k (w_k - w) / max(1, |w_k - w| / C) + N(0, (z C)^2)) / n

    for the clip ``C``, the noise multiplier ``z`` and the ``n`` clients that were asked, or were to be expected; the strategy it stands
    around is given that as one update. With a ``quantile`` the clip follows it (Andrew et al. 2021, algorithm 1), and with ``measured``
    the round tells how well the model does. What a client adds to the count of updates within the clip, and to the mean of errors, is
    bounded and gets noise as the sum does, which gets that much more, so that all together cost what ``z`` says. What rounds cost is
    :attr:`release`.

    In secure rounds clients do the same themselves, each with a share of the noise (:class:`bramble_protocol.secure.noised.Noised`).
    """

    takes: ClassVar[Any] = Noisy
    called = "dp"
    compared = False
    summable = True
    beside = 5

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        self._clip, self._noisy = self.parameters.clip, False

    @classmethod
    def refuses(cls, inner: Strategy) -> str | None:
        """Refuse what needs more than a sum."""
        return None if inner.linear else "that needs more than a sum of updates, such as each one of them or what clients measured"

    @property
    def release(self) -> Release:
        """What a round costs."""
        return Release(self.parameters.noise_multiplier)

    def plan(self, context: Context, clients: Sequence[str]) -> Mapping[str, TrainConfig]:
        """Note how many are asked."""
        self._asked, self._random = context.expected or len(clients), np.random.default_rng(context.drawn)
        return self._inner.plan(context, clients)

    def blends(self, updates: int) -> int:
        """Return as many as there are: what the other is given is a sum."""
        return updates

    def restore(self, state: State) -> None:
        """Take the clip, and give the other the rest."""
        self._clip = float(state[_CLIP])
        if others := {name: values for name, values in state.items() if name != _CLIP}:
            self._inner.restore(others)

    def begin(self, model: Weights) -> None:
        """Start with an empty sum."""
        super().begin(model)
        self._sum, self._within, self._worse = np.zeros(len(model)), 0.0, 0.0

    def fold(self, update: Update) -> None:
        """Add an update, shortened."""
        length = distance(update.weights, self._model)
        self._within += 0.5 if length <= self._clip else -0.5  # centred: who is there or not changes it by half, as is reckoned with
        self._worse += relative(update.metrics) - 1.0  # likewise: by one
        change = update.weights.astype(np.float64)
        change -= self._model
        change *= min(1.0, self._clip / length) if length else 1.0
        self._sum += change

    def shared(self, least: int) -> Noise:
        """Return what has so many clients, less those that are not counted on, add the noise that a sum needs."""
        total = self._deviation * self._clip
        within = total / self._count_deviation if self.parameters.quantile else 0.0
        measured = total / self._measure_deviation if self.parameters.measured else 0.0
        colluding = self.parameters.colluding
        return Noise(self._clip, total / math.sqrt(least - colluding), within, measured, least, colluding)

    def summed(self, change: NDArray[np.float64], totals: Mapping[str, float]) -> None:
        """Take the sum of what clients shortened, with the noise that is in it."""
        self._sum, self._noisy = change, True
        self._within, self._worse = totals.get("within", 0.0), totals.get("relative", 0.0)

    def finish(self) -> Weights:
        """Add the noise, and hand the mean on."""
        if not getattr(self, "_asked", 0):
            raise AggregateError("dp: nobody was asked in this round, so there is nothing to divide by")
        deviation = self._deviation * self._clip
        for start in range(0, 0 if self._noisy else len(self._sum), 1 << 16):
            part = self._sum[start : start + (1 << 16)]
            part += self._random.normal(0.0, deviation, len(part))
        self._sum /= self._asked
        self._inner.fold(Update("sum", 1, (self._model + self._sum).astype(np.float32)))
        return self._inner.finish()

    def measures(self) -> Mapping[str, float]:
        """Return what is told of clients' errors: one mean, with noise, or nothing."""
        if not self.parameters.measured:
            return {}
        return {RELATIVE: 1.0 + (self._worse + self._drawn(self._measure_deviation)) / self._asked}

    def state(self) -> State:
        """Remember the clip, and what the other does."""
        if not self.parameters.quantile:
            return {**self._inner.state(), _CLIP: np.array(self._clip)}
        counted = self._within + self._drawn(self._count_deviation)
        clip = self._clip * math.exp(-PACE * (counted / self._asked + 0.5 - self.parameters.quantile))
        return {**self._inner.state(), _CLIP: np.array(min(max(clip, 1e-9), 1e6))}

    def _drawn(self, deviation: float) -> float:
        """Return noise for a single number; none where it is there already."""
        return 0.0 if self._noisy else float(self._random.normal(0.0, deviation))

    @property
    def _count_deviation(self) -> float:
        """Of the noise in the count of updates within the clip; never so little that it takes more than a tenth of what a round costs."""
        return float(max(self._asked / COUNTED, math.sqrt(10) / 2 * self.parameters.noise_multiplier))

    @property
    def _measure_deviation(self) -> float:
        """Likewise, of the noise in the sum of errors over baselines."""
        return float(max(self._asked / COUNTED, self.parameters.noise_multiplier / math.sqrt(self.parameters.measured)))

    @property
    def _deviation(self) -> float:
        """Of the noise in the sum, over the clip: with the others', it costs what the noise multiplier says (theorem 1 there)."""
        counted = (2 * self._count_deviation) ** -2 if self.parameters.quantile else 0.0
        measured = self._measure_deviation**-2 if self.parameters.measured else 0.0
        return float((self.parameters.noise_multiplier**-2 - counted - measured) ** -0.5)
