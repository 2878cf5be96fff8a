"""On what terms a round's updates are masked."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from bramble_protocol import fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.secure.fixed import MOST, Encoding

COUNTED = 4096
"""Numbers of a vector that clients count."""
SESSION = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class SecureTerms:
    """What a request says of the sum that its answer goes into."""

    session: str
    """Random, and another for each round: a round's number may come again where a server began anew."""
    clients: int
    """How many are asked."""
    reach: float
    """As :class:`bramble_protocol.secure.fixed.Encoding` has it, and ``windows``, too."""
    windows: int
    counts: tuple[tuple[str, int], ...] = ()
    """What clients count beside it: names and lengths of vectors, by name."""

    @classmethod
    def from_wire(cls, value: Any) -> SecureTerms:
        """Read and check the wire form."""
        item = fields.mapping(value, "secure", ("session", "clients", "reach", "windows", "counts"))
        lengths = fields.numbers(item["counts"], "secure.counts")
        if any(length != int(length) or not 1 <= length <= COUNTED for length in lengths.values()):
            raise ProtocolError(f"secure.counts: expected lengths from 1 to {COUNTED}")
        return cls(
            fields.text(item["session"], "secure.session", 32, SESSION),
            fields.integer(item["clients"], "secure.clients", 2, MOST),
            fields.number(item["reach"], "secure.reach", 1e-6, 1e6),
            fields.integer(item["windows"], "secure.windows", 1, 10_000_000),
            tuple((name, int(length)) for name, length in sorted(lengths.items())),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return {**asdict(self), "counts": dict(self.counts)}

    @property
    def encoding(self) -> Encoding:
        """How changes become words."""
        return Encoding(self.clients, self.reach, self.windows, self.counts)

    def context(self, task: str, number: int) -> bytes:
        """Return what tells a round on these terms from all others, 32 bytes: what is signed, sealed or agreed in it is for it alone."""
        said = json.dumps(["bramble secure round", task, number, *asdict(self).values()], separators=(",", ":"))
        return hashlib.sha256(said.encode()).digest()
