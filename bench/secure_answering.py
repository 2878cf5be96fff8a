"""Clients that take part in secure rounds with a change of nothing: ``python -m bench.secure_answering URL COUNT PREFIX``.

As :mod:`bench.answering`, which speaks the contract for it; ``cpu`` in its report is what the cryptography took, in seconds of a processor.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import numpy as np

from bench.answering import BINARY, TEXT, Answering, Seen, run
from bench.loopback import many_files
from bramble_protocol.messages import MASKED, ClientUpdate, SecureSaid, SecureTold
from bramble_protocol.secure.collector import split
from bramble_protocol.secure.party import Party

METRICS = {"loss_before": 1.0, "loss_after": 0.5}


class SecureSeen(Seen):
    """What clients saw, and what it cost them."""

    def __init__(self) -> None:
        super().__init__()
        self.cpu = 0.0


class SecurelyAnswering(Answering):
    """One client that does each phase as soon as it is asked for."""

    _asked: ClientUpdate
    _party: Party
    _seen: SecureSeen

    def _text(self, text: str) -> None:
        if text.startswith("451-"):
            self._name, self._event = json.loads(text[4:])
        elif text.startswith("42"):
            self._phase(json.loads(text[2:])[1])
        else:
            super()._text(text)

    def _answer(self, attached: bytes) -> None:
        if self._name != "client_update":
            self._phase({**self._event, "data": attached})
            return
        if self._first:
            self._seen.asked.append(time.monotonic())
        self._asked = asked = ClientUpdate.from_wire({**self._event, "weights": attached})
        assert asked.secure
        began = time.process_time()
        self._party = Party(self._auth["client_id"], asked.secure.context(asked.task, asked.round))
        keys = self._party.keys()
        self._seen.cpu += time.process_time() - began
        self._say("keys", keys)

    def _phase(self, payload: dict[str, Any]) -> None:
        told, party = SecureTold.from_wire(payload), self._party
        began = time.process_time()
        if told.phase == "masked":
            party.take(split(told.clients, told.data))
            assert self._asked.secure
            words = self._asked.secure.encoding.encode(np.zeros_like(self._asked.weights), 100, METRICS)
            said = party.mask(words).tobytes()
        elif told.phase == "list":
            said = party.agree(told.clients)
        else:
            said = (party.share if told.phase == "shares" else party.unmask)(split(told.clients, told.data))
        self._seen.cpu += time.process_time() - began
        self._say(told.phase, said)

    def _say(self, phase: str, said: bytes) -> None:
        self._number += 1
        if phase == "masked":
            event, message = "training_complete", {"round": self._asked.round, "encoding": MASKED, "weights": said}
        else:
            event, message = "secure", SecureSaid(self._asked.round, phase, said).to_wire()
        attached = {name: {"_placeholder": True, "num": 0} for name, value in message.items() if isinstance(value, bytes)}
        self._send(TEXT, f"451-{self._number}{json.dumps([event, {**message, **attached}])}".encode())
        self._send(BINARY, said)


if __name__ == "__main__":
    many_files()
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3], client=SecurelyAnswering, seen=SecureSeen()))
