"""On what terms a round's updates are masked."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from bramble_protocol import fields
from bramble_protocol.errors import ProtocolError
from bramble_protocol.features import NOISE
from bramble_protocol.secure.fixed import MOST, Encoding
from bramble_protocol.secure.noised import Noise, Noised, listed

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
    noise: Noise | None = None
    """What they do to their changes so that the sum has noise in it, if anything."""

    @classmethod
    def from_wire(cls, value: Any) -> SecureTerms:
        """Read and check the wire form."""
        item = fields.mapping(value, "secure", ("session", "clients", "reach", "windows", "counts"), (NOISE,))
        lengths = fields.numbers(item["counts"], "secure.counts")
        if any(length != int(length) or not 1 <= length <= COUNTED for length in lengths.values()):
            raise ProtocolError(f"secure.counts: expected lengths from 1 to {COUNTED}")
        terms = cls(
            fields.text(item["session"], "secure.session", 32, SESSION),
            fields.integer(item["clients"], "secure.clients", 2, MOST),
            fields.number(item["reach"], "secure.reach", 1e-9, 1e12),
            fields.integer(item["windows"], "secure.windows", 1, 10_000_000),
            tuple((name, int(length)) for name, length in sorted(lengths.items())),
            Noise.from_wire(item[NOISE]) if NOISE in item else None,
        )
        _ = terms.encoding  # which refuses noise that hides nobody
        return terms

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        noise = {NOISE: asdict(self.noise)} if self.noise else {}
        said = {"session": self.session, "clients": self.clients, "reach": self.reach, "windows": self.windows}
        return {**said, "counts": dict(self.counts), **noise}

    @property
    def encoding(self) -> Encoding:
        """How changes become words."""
        if self.noise:
            return Noised(self.clients, self.reach, self.windows, self.counts, noise=self.noise)
        return Encoding(self.clients, self.reach, self.windows, self.counts)

    def context(self, task: str, number: int) -> bytes:
        """Return what tells a round on these terms from all others, 32 bytes: what is signed, sealed or agreed in it is for it alone."""
        terms = self.session, self.clients, self.reach, self.windows, self.counts, *listed(self.noise)
        said = json.dumps(["bramble secure round", task, number, *terms], separators=(",", ":"))
        return hashlib.sha256(said.encode()).digest()
