"""FedNova: a mean in which a client counts by its data, and not by how many steps it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bramble_protocol.errors import BrambleError
from bramble_protocol.features import MOMENTUM, STEPS
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Extras, TrainConfig
from bramble_server.learning.aggregate import WeightedMean
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.base import Context, Strategy, Update


@dataclass(frozen=True)
class LocalMomentum(Parameters):
    """What can be set of FedNova."""

    momentum: float = parameter(0.0, "Part of a client's step that goes into its next.", least=0, below=1)


class FedNova(Strategy):
    """A mean in which clients count by their data, whatever steps they took: for clients of much and of little data, or of many speeds.

    Where clients take different numbers of steps ``K_k``, FedAvg minimises another objective than the one that is meant: those of many
    steps weigh more. Here each change is divided by its length in steps first (Wang et al. 2020, equation 6 and section 4): with
    ``p_k = n_k / sum n`` and ``a_k`` the steps, ``w <- w + (sum_k p_k a_k) sum_k p_k (w_k - w) / a_k``. With a momentum ``m``,
    ``a_k = (K_k - m (1 - m^K_k) / (1 - m)) / (1 - m)``.
    """

    takes = LocalMomentum
    parameters: LocalMomentum
    copies = 6

    @property
    def needs(self) -> tuple[str, ...]:
        """The number of steps, and perhaps momentum."""
        return (STEPS, MOMENTUM) if self.parameters.momentum else (STEPS,)

    def plan(self, context: Context, clients: Sequence[str]) -> Mapping[str, TrainConfig]:
        """Have clients take plain steps: with FedProx's pull the length of a change would not be that of its steps."""
        return dict.fromkeys(clients, replace(context.config, proximal_mu=0.0))

    def extras(self, context: Context, clients: Sequence[str]) -> Mapping[str, Extras]:
        """Ask every client for its steps."""
        return dict.fromkeys(clients, Extras(steps=True, momentum=self.parameters.momentum))

    def begin(self, model: Weights) -> None:
        """Start with an empty sum."""
        self._model, self._mean = model, WeightedMean(len(model))
        self._steps, self._samples = 0.0, 0

    def fold(self, update: Update) -> None:
        """Add ``samples * change / length``."""
        if update.steps is None:
            raise BrambleError("it does not say how many steps it took")
        length = self._length(update.steps)
        change = update.weights - self._model
        change /= np.float32(length)
        self._mean.add(change, update.samples)
        self._steps += update.samples * length
        self._samples += update.samples

    def finish(self) -> Weights:
        """Go the mean of the directions, as far as clients went on average."""
        step = self._mean.mean()
        step *= np.float32(self._steps / self._samples)
        step += self._model
        return step

    def _length(self, count: int) -> float:
        m = self.parameters.momentum
        return (count - m * (1 - m**count) / (1 - m)) / (1 - m)
