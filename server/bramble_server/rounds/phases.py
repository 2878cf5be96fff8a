"""The phases of a secure round as its clock and its clients see them: what is told in each, and until when it may take."""

from __future__ import annotations

import math

from bramble_server.rounds.machine import PhaseOver, Said, Tell
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.secure_round import SecureRound
from bramble_server.rounds.shared import Shared

PATIENCE, PART = 30.0, 8
"""Seconds that a phase which is a message there and back may take, and the part of the round's time that it may take at most."""


class Phases:
    """Those of a track's open round; of another round than a secure one there are none."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._round: SecureRound | None = None
        self._phase = "keys"
        self.until = math.inf
        """When the present one is over, on the monotonic clock."""

    def opened(self, open_round: OpenRound) -> None:
        """Begin the first phase of a round that opens."""
        self._round, self.until = None, math.inf
        if isinstance(open_round, SecureRound):
            self._round, self._patience = open_round, min(PATIENCE, open_round.left / PART)
            self._begin("keys")

    def _begin(self, phase: str) -> None:
        assert self._round is not None
        # what follows on the masked words needs its time, too
        lasts = max(0.0, self._round.left - 2 * self._patience) if phase == "masked" else self._patience
        self._phase, self.until = phase, self._shared.clock.monotonic() + lasts

    def keep(self, said: Said) -> None:
        """Take what a client says."""
        assert self._round is not None
        self._round.keep(said)

    def tell(self, action: Tell) -> None:
        """Begin a phase, and tell its clients."""
        assert self._round is not None
        self._begin(action.phase)
        for alike, told in self._round.told(action.phase, action.clients):
            self._shared.downlink.secure(alike, told)

    def over(self, now: float) -> PhaseOver | None:
        """Return that the present phase's time is up, if it is."""
        if self._round is None or now < self.until:
            return None
        self.until = math.inf
        return PhaseOver(self._round.number, self._phase)
