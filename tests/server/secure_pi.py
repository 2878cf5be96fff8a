"""A client of secure rounds, phase by phase, so that it can also lie, or leave in the middle."""

from __future__ import annotations

from typing import Any

import numpy as np

from bramble_protocol.layout import Weights
from bramble_protocol.messages import MASKED, ClientUpdate, SecureSaid, SecureTold
from bramble_protocol.secure.collector import split
from bramble_protocol.secure.fixed import Words
from bramble_protocol.secure.party import Party, Whose
from tests.server.pi import Pi, hello

FEATURES = ["sections", "secure", "counts", "round_over"]
METRICS = {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 25.0, "test_error": 0.5, "test_baseline": 1.0}
ACCEPTED = {"accepted": True}


class SecurePi(Pi):
    """One connection, and its part in the round that it was asked for last."""

    asked: ClientUpdate
    party: Party
    words: Words
    """Its update before it was masked."""

    def __init__(self, url: str, client: str, whose: Whose | None = None, **other: Any) -> None:
        super().__init__(url, client, hello(client, protocol=2, features=FEATURES, **other))
        self.client, self.whose = client, whose

    def begin(self) -> bytes:
        """Wait to be asked; return what its keys are."""
        self.asked = ClientUpdate.from_wire(self.next("client_update"))
        assert self.asked.secure
        self.party = Party(self.client, self.asked.secure.context(self.asked.task, self.asked.round), whose=self.whose)
        return self.party.keys()

    def say(self, phase: str, data: bytes) -> Any:
        """Say something in a phase; return the acknowledgement."""
        return self.call("secure", SecureSaid(self.asked.round, phase, data).to_wire())

    def told(self, phase: str) -> SecureTold:
        """Wait until a phase begins."""
        told = SecureTold.from_wire(self.next("secure"))
        assert (told.round, told.phase) == (self.asked.round, phase)
        return told

    def shares(self) -> bytes:
        """Wait for everybody's keys; return its shares."""
        told = self.told("shares")
        return self.party.share(split(told.clients, told.data))

    def masked(self, change: Weights, samples: int = 100) -> bytes:
        """Wait for the neighbours' shares; return its masked words."""
        told = self.told("masked")
        self.party.take(split(told.clients, told.data))
        assert self.asked.secure
        self.words = self.asked.secure.encoding.encode(change, samples, METRICS)
        return self.party.mask(self.words).astype("<u4").tobytes()

    def deliver(self, words: bytes, number: int | None = None) -> Any:
        """Hand in masked words; return the acknowledgement."""
        answer = {"round": self.asked.round if number is None else number, "encoding": MASKED, "weights": words}
        return self.call("training_complete", answer)

    def agreed(self) -> bytes:
        """Wait for the list; return its signature to it."""
        return self.party.agree(self.told("list").clients)

    def opening(self) -> bytes:
        """Wait for the others' signatures; return the shares that open the sum."""
        told = self.told("open")
        return self.party.unmask(split(told.clients, told.data))


def everybody(pis: list[SecurePi], change: float = 0.5, stop: str = "") -> None:
    """Have clients do all phases of a round, or all before one."""
    for phase in ("keys", "shares", "masked", "list", "open"):
        if phase == stop:
            return
        for pi in pis:
            if phase == "masked":
                words = pi.masked(np.full(pi.asked.layout.size, change, np.float32))
                assert pi.deliver(words) == ACCEPTED
            else:
                part = {"keys": pi.begin, "shares": pi.shares, "list": pi.agreed, "open": pi.opening}[phase]()
                assert pi.say(phase, part) == ACCEPTED
