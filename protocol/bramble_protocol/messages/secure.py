"""The messages of a secure round: what its phases carry, and the answer that can be read in a sum alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bramble_protocol import fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.layout import Layout
from bramble_protocol.messages.secure_terms import SecureTerms
from bramble_protocol.messages.training import ClientUpdate, Delivery, Timing, TrainingComplete
from bramble_protocol.secure.fixed import MOST, Words

__all__ = ["MASKED", "Masked", "MaskedComplete", "SecureSaid", "SecureTerms", "SecureTold"]

EVENT = "secure"
"""The event that carries both of these."""
MASKED = "masked"
"""What an answer says in place of an encoding whose attachment is masked words."""
SAYING = ("keys", "shares", "list", "open")
TELLING = ("shares", "masked", "list", "open")
LONGEST = 1 << 20
"""Bytes that a client may say or be told in a phase."""


def _data(item: dict[str, Any], what: str) -> bytes:
    data = item.get("data", b"")
    if not isinstance(data, bytes | bytearray) or len(data) > LONGEST:
        raise ProtocolError(f"{what}.data: expected at most {LONGEST} bytes")
    return bytes(data)


def _phase(value: Any, what: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ProtocolError(f"{what}.phase: expected one of {', '.join(known)}")
    return str(value)


@dataclass(frozen=True)
class SecureSaid:
    """Client to server: its part in a phase; what its bytes are, :class:`bramble_protocol.secure.party.Party` says."""

    round: int
    phase: str
    data: bytes = field(repr=False)

    @classmethod
    def from_wire(cls, value: Any) -> SecureSaid:
        """Read and check the wire form."""
        item = fields.mapping(value, EVENT, ("round", "phase", "data"))
        return cls(fields.integer(item["round"], "secure.round", 1), _phase(item["phase"], EVENT, SAYING), _data(item, EVENT))

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return {"round": self.round, "phase": self.phase, "data": self.data}


@dataclass(frozen=True)
class SecureTold:
    """Server to one client: a phase begins, and this is what those before it brought."""

    round: int
    phase: str
    clients: tuple[str, ...]
    """Whose the bytes are, of equal length each; or, without any, who is meant."""
    data: bytes = field(default=b"", repr=False)

    @classmethod
    def from_wire(cls, value: Any) -> SecureTold:
        """Read and check the wire form."""
        item = fields.mapping(value, EVENT, ("round", "phase", "clients"), ("data",))
        clients = item["clients"]
        if not isinstance(clients, list) or len(clients) > MOST:
            raise ProtocolError(f"secure.clients: expected a list of at most {MOST} ids")
        return cls(
            fields.integer(item["round"], "secure.round", 1),
            _phase(item["phase"], EVENT, TELLING),
            tuple(fields.text(client, "secure.clients", 63, fields.CLIENT_ID) for client in clients),
            _data(item, EVENT),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        told = {"round": self.round, "phase": self.phase, "clients": list(self.clients)}
        return {**told, "data": self.data} if self.data else told


@dataclass(frozen=True)
class MaskedComplete(TrainingComplete):
    """The answer to a secure request: words that say nothing but in the sum of all. Its other fields stay on the client."""

    words: Words = field(default_factory=lambda: np.empty(0, np.uint32), repr=False)

    def to_wire(self, asked: ClientUpdate | None = None) -> dict[str, Any]:
        """Return the wire form: the words, and nothing of what they were made of."""
        return {"round": self.round, "encoding": MASKED, "weights": self.words.astype("<u4").tobytes()}


@dataclass(frozen=True)
class Masked(Delivery):
    """A ``training_complete`` of masked words, as it came."""

    @classmethod
    def from_wire(cls, value: Any, layout: Layout) -> Masked:
        """Read and check the wire form; how many words there are is compared with what was asked for when they are added."""
        item = fields.mapping(value, "training_complete", ("round", "encoding", "weights"))
        data = item["weights"]
        if not isinstance(data, bytes | bytearray | memoryview) or len(data) % 4:
            raise ProtocolError("weights: expected masked words of 4 bytes each")
        return cls(fields.integer(item["round"], "round", 1), layout, MASKED, data, 1, {}, Timing(0.0, 0.0, 0.0))

    @property
    def nbytes(self) -> int:
        """Size of the words."""
        return len(self.data)

    @property
    def digest(self) -> str:
        """Tells these words from any others."""
        return hashlib.sha256(self.data).hexdigest()

    def open(self, asked: ClientUpdate | None = None) -> TrainingComplete:
        """Refuse: masked words are read in the sum alone.

        Raises
        ------
        ProtocolError
            Always.
        """
        raise ProtocolError("encoding: masked words were not asked for in this round")
