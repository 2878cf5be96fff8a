"""Cycles of synchronised readings in evaluation mode: the simulated world's clock, and whose readings are still to come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from bramble_protocol.messages import GenerateData
from bramble_server.rounds.members import Members
from bramble_server.store import meta


class Cycles:
    """The clock of the simulated world. It goes on where the last cycle ended, across restarts.

    Parameters
    ----------
    facts
        What ``load`` read from the store.
    start
        Where the clock starts, seconds since 1970 UTC.
    step
        Seconds from one reading to the next.
    """

    def __init__(self, facts: dict[str, Any], start: float, step: float) -> None:
        self._start, self._step = start, step
        self.cycle: int = facts.get("cycle", 0)
        self.reset_at: int = facts.get("reset_at", 0)
        """Readings of this cycle and those before it were asked for before the last reset."""
        self._now: float = facts.get("world_t", start)
        self._owed: dict[str, int] = {}
        self.owing = Members()
        """The clients whose readings are still to come."""
        self._until = 0.0

    @staticmethod
    def load(connection: Connection) -> dict[str, Any]:
        """Read what a former server left."""
        facts = {name: meta.get(connection, name) for name in ("cycle", "world_t", "reset_at")}
        return {name: value for name, value in facts.items() if value is not None}

    def next(self, count: int) -> GenerateData:
        """Return the next cycle; nothing has changed until it has ``begun``."""
        return GenerateData(self.cycle + 1, self._now, self._step, count)

    def save(self, connection: Connection, message: GenerateData) -> None:
        """Write that a cycle is in use."""
        meta.put(connection, "cycle", message.cycle)
        meta.put(connection, "world_t", message.t + message.count * message.step)

    def begun(self, message: GenerateData, clients: Iterable[str], until: float) -> None:
        """Move the clock on, and expect readings of these clients until a time on the monotonic clock."""
        self.cycle, self._now = message.cycle, message.t + message.count * message.step
        self._owed, self._until = dict.fromkeys(clients, message.count), until
        self.owing = Members(self._owed)

    def arrived(self, client: str, cycle: int | None, stamps: int) -> bool:
        """Note readings; return whether anybody is waited for less."""
        if cycle != self.cycle or client not in self._owed:
            return False
        self._owed[client] -= stamps
        return self._owed[client] <= 0 and self.left(client)

    def left(self, client: str) -> bool:
        """Note that a client is not waited for; return whether it was."""
        self.owing = self.owing.excluding(client)
        return self._owed.pop(client, None) is not None

    def save_reset(self, connection: Connection) -> None:
        """Write that what was asked for until now is void."""
        meta.put(connection, "reset_at", self.cycle)

    def reset(self) -> None:
        """Turn the clock back to its start."""
        self.reset_at, self._now, self._owed, self.owing = self.cycle, self._start, {}, Members()

    def waiting_for(self) -> list[str]:
        """Return the clients whose readings are still to come."""
        return sorted(self._owed)

    def due(self, now: float) -> float | None:
        """Return seconds until it is given up to wait."""
        return max(0.0, self._until - now) if self._owed else None

    def give_up(self) -> list[str]:
        """Wait no longer; return for whom in vain."""
        missing, self._owed, self.owing = self.waiting_for(), {}, Members()
        return missing
