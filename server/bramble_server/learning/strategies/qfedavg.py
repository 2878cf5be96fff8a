"""q-FedAvg: a step that goes further for those clients whom the model serves badly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import TrainConfig
from bramble_server.learning.aggregate import AggregateError, finite
from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.strategies.base import Context, Strategy, Update

NO_LOSS = 1e-10
"""Added to each loss, so that a power of none is a number."""


@dataclass(frozen=True)
class Fairness(Parameters):
    """What can be set of q-FedAvg."""

    q: float = parameter(1.0, "How much more a client counts that has a larger loss; at 0 all count the same.", least=0, most=10)


class QFedAvg(Strategy):
    """A step that goes further for clients whom the model serves badly: for sites that must be served alike.

    With ``F_k`` a client's loss before it trained and ``L = 1 / lr`` (Li et al. 2020, algorithm 2): ``D_k = F_k^q L (w - w_k)``,
    ``h_k = q F_k^(q-1) |L (w - w_k)|^2 + L F_k^q``, and ``w <- w - sum_k D_k / sum_k h_k``. It believes what clients say of their loss.
    """

    takes = Fairness
    parameters: Fairness
    copies = 7

    def plan(self, context: Context, clients: Sequence[str]) -> Mapping[str, TrainConfig]:
        """Have clients train as ever, and note how fast."""
        if not context.config.learning_rate:
            raise BrambleError("learning_rate: at 0 there is no step whose length could follow from it")
        self._smoothness = 1 / context.config.learning_rate
        return super().plan(context, clients)

    def begin(self, model: Weights) -> None:
        """Start with empty sums."""
        self._model, self._step, self._length = model, np.zeros(len(model)), 0.0

    def fold(self, update: Update) -> None:
        """Add ``D_k`` and ``h_k``.

        Raises
        ------
        BrambleError
            If the client does not say what its loss was, or it is none.
        """
        q, smoothness, loss = self.parameters.q, self._smoothness, update.metrics.get("loss_before")
        if loss is None or loss < 0:
            raise BrambleError("it does not say what its loss was before it trained")
        change = np.subtract(update.weights, self._model, dtype=np.float64)
        try:
            counts = (loss + NO_LOSS) ** q
            length = q * (loss + NO_LOSS) ** (q - 1) * smoothness**2 * float(np.square(change).sum()) + smoothness * counts
        except OverflowError:
            length = np.inf
        if not np.isfinite(self._length + length):
            raise BrambleError(f"its loss of {loss:.3g} is too large to be counted by")
        change *= counts * smoothness
        self._step += change
        self._length += length

    def finish(self) -> Weights:
        """Go the sum of the steps by the sum of their lengths."""
        if not self._length:
            raise AggregateError("aggregate: no update was added")
        with np.errstate(over="ignore"):
            self._step /= self._length
            self._step += self._model
            return finite(self._step.astype(np.float32))
