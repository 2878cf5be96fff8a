"""What a client answers that does not train."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bramble_protocol import fields


@dataclass(frozen=True)
class TrainingFailed:
    """Client to server: it could not, or would not, train for a round, and why."""

    round: int
    reason: str

    @classmethod
    def from_wire(cls, value: Any) -> TrainingFailed:
        """Read and check the wire form."""
        item = fields.mapping(value, "training_failed", ("round", "reason"))
        return cls(fields.integer(item["round"], "round", 1), fields.text(item["reason"], "reason"))

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form."""
        return asdict(self)
