"""What a strategy is: how a round's updates become the next global model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from bramble_protocol.layout import Weights


class Strategy(ABC):
    """Turns the updates of a round into the next global model, one update at a time.

    One object serves a server for its whole life: what must last from round to round (momentum, say) are its attributes,
    what belongs to one round is set anew in ``begin``. Only one thread ever calls it. Memory should not grow with the
    number of clients; a strategy that cannot help it says so in its docstring.
    """

    @abstractmethod
    def begin(self, model: Weights) -> None:
        """Start a round from the current global model, shape (parameters,). Whatever an unfinished round left is forgotten."""

    @abstractmethod
    def fold(self, weights: Weights, samples: int, metrics: Mapping[str, float]) -> None:
        """Take one client's update in; called for those that count, in the order of the clients' names, when the last has come.

        Parameters
        ----------
        weights
            The client's weights after training, not their change: shape (parameters,), float32, finite; an update that is much
            longer than the others' comes shortened. Valid during the call only, and not to be written to.
        samples
            Training windows behind them, at least 1 and at most a few times the cohort's median.
        metrics
            What the client measured: ``loss_before``, ``loss_after`` and others.

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
            If the result is not finite. The round is then abandoned and the model stays as it was.
        """
