"""What a client is told to forget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bramble_protocol import fields


@dataclass(frozen=True)
class Reset:
    """Server to clients: forget everything, readings too; or, to one that knows ``tracks``, what belongs to one task, and no reading."""

    task: str | None = None

    @classmethod
    def from_wire(cls, value: Any) -> Reset:
        """Read and check the wire form."""
        item = fields.mapping(value, "reset", (), ("task",))
        return cls(fields.text(item["task"], "reset.task", 63, fields.CLIENT_ID) if item else None)

    def to_wire(self) -> dict[str, Any]:
        """Return the wire form; that of a reset of everything is the one of version 1."""
        return {} if self.task is None else {"task": self.task}
