"""What a client is told when a round goes on, or ends, without it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bramble_protocol import fields


@dataclass(frozen=True)
class RoundOver:
    """Server to those that know ``round_over``: nobody takes this client's answer to this round any more, so it need not train for it."""

    round: int

    @classmethod
    def from_wire(cls, value: Any) -> RoundOver:
        """Read and check the wire form."""
        item = fields.mapping(value, "round_over", ("round",))
        return cls(fields.integer(item["round"], "round_over.round", 1))

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return asdict(self)
