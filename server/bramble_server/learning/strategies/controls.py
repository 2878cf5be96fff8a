"""What the server knows of the controls that its clients keep: their sum, and whose answers are in it.

A control itself stays on its client. So that the sum is that of the controls which clients go on with, each is told which of its answers
was counted last (:class:`bramble_protocol.messages.extras.Control`). Where the two part all the same, because a client lost what it had
or an older model was brought back, and where a client has been away for so long that its share says nothing any more, all controls
begin anew with zeros.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Control, Extras
from bramble_protocol.messages.extras import DELTA
from bramble_server.learning.judge import FAR, REACH
from bramble_server.learning.strategies.base import Context, State, Update

log = logging.getLogger(__name__)

LONGEST = 63
"""Characters of a client's name."""
ROUNDED = 1e-3
"""Part of the model's length that may be rounded away of a change on its way."""


class Controls:
    """The sum of clients' controls: after the rounds before, and then after this one.

    Parameters
    ----------
    patience
        Rounds that a client may miss before all begin anew.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._total: Weights | None = None
        self._since: dict[str, int] = {}
        self._missed: dict[str, int] = {}
        self._counted: set[str] = set()
        self._reason = ""

    def restore(self, state: State) -> None:
        """Go on with those of the last round."""
        names = [bytes(row).rstrip(b"\0").decode() for row in state["clients"]]
        self._total = state["controls"]
        self._since = dict(zip(names, state["since"].tolist(), strict=True))
        self._missed = dict(zip(names, state["missed"].tolist(), strict=True))

    def ask(self, context: Context, clients: Sequence[str], rate: float | None = None, common: bool = False) -> Mapping[str, Extras]:
        """Return what a round's clients are asked.

        Parameters
        ----------
        rate
            As :class:`~bramble_protocol.messages.extras.Control` has it.
        common
            Whether clients are told the mean of all controls, and follow it.
        """
        if not context.config.learning_rate:
            raise BrambleError("learning_rate: at 0 there are no steps that a control could be made of")
        self._round, self._rate, self._learning_rate = context.round, rate, context.config.learning_rate
        known = {*self._since, *clients}
        self._mean = self._total / np.float32(len(known)) if common and self._total is not None else None
        alike = {since: Extras(steps=True, control=Control(since, rate, self._mean)) for since in {0, *self._since.values()}}
        return {client: alike[self._since.get(client, 0)] for client in clients}

    def begin(self, model: Weights) -> None:
        """Start with the sum as it was."""
        self._model = model
        self._total = np.zeros_like(model) if self._total is None else self._total.copy()

    def fold(self, update: Update) -> None:
        """Add how far a client's control moved.

        Raises
        ------
        BrambleError
            If that does not follow from how far its weights moved.
        """
        delta = update.sections.get(DELTA)
        if delta is None or update.steps is None:
            raise BrambleError("it does not say how far its control moved")
        self._believe(update, update.steps, delta)
        assert self._total is not None
        if update.since != self._since.get(update.client, 0):
            self._reason = f"{update.client} does not have its own any more"
        self._total += delta
        self._counted.add(update.client)

    def finish(self) -> Weights | None:
        """Return the mean of all controls as they are now; None if they begin anew."""
        assert self._total is not None
        self._missed = {client: count + 1 for client, count in self._missed.items()} | dict.fromkeys(self._counted, 0)
        self._since |= dict.fromkeys(self._counted, self._round)
        away = [client for client, count in self._missed.items() if count > self._patience]
        if away:
            self._reason = f"{', '.join(sorted(away)[:3])} missed more than {self._patience} rounds"
        if self._reason:
            log.warning("round %d: all controls begin anew, for %s", self._round, self._reason)
            self._total = None
            return None
        return self._total / np.float32(len(self._since))

    def state(self) -> State:
        """Remember the sum, and whose answers are in it."""
        if self._total is None:
            return {}
        names = sorted(self._since)
        return {
            "controls": self._total,
            "clients": np.array([name.encode() for name in names], f"S{LONGEST}").view(np.uint8).reshape(-1, LONGEST),
            "since": np.array([self._since[name] for name in names], np.int64),
            "missed": np.array([self._missed[name] for name in names], np.int64),
        }

    def _believe(self, update: Update, steps: int, delta: Weights) -> None:
        """Check that a control did not move further than the weights say; an update that was shortened may be that much shorter."""
        rate = self._rate or 1 / (steps * self._learning_rate)
        follows = rate * (float(np.linalg.norm(update.weights - self._model)) * FAR / REACH + ROUNDED * float(np.linalg.norm(self._model)))
        moved = float(np.linalg.norm(delta if self._mean is None else delta + self._mean))
        if moved > follows:
            raise BrambleError(f"its control moved by {moved:.3g}, where its weights account for {follows:.3g} at most")
