"""Keeps in the database who was ever seen and what happened to them, so that after a restart it is known who is missing, and since what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from bramble_protocol.clock import Clock
from bramble_protocol.health import Health
from bramble_protocol.messages import Channel
from bramble_server.fleet.registry import Client, Registry
from bramble_server.store import StoreError, clients, mirror, models

SOON = 5.0
"""Seconds within which it is written that somebody came or left: a whole fleet that comes back at once is one write."""
LATER = 300.0
"""Seconds within which it is written when each was seen last, what came from it, and how its machine was."""


class RegistryStore:
    """Writes what changed in the registry to the database, now and then.

    Parameters
    ----------
    registry
        The list; what the database knows is put into it at once.
    known
        What :func:`bramble_server.store.clients.load` returned.
    courses
        What :func:`bramble_server.store.clients.load_courses` returned.
    """

    def __init__(self, registry: Registry, known: list[dict[str, Any]], courses: list[dict[str, Any]], clock: Clock = time) -> None:
        self._registry, self._clock = registry, clock
        self._at = clock.monotonic() + LATER
        self._failing = False
        registry.restore(_client(row) for row in known)
        registry.chronicle.restore({row["id"]: row["past"] for row in known if row["past"]}, courses, clock.time())

    def due(self) -> float:
        """Return seconds until the next write."""
        if self._registry.moved and not self._failing:
            self._at = min(self._at, self._clock.monotonic() + SOON)
        return max(0.0, self._at - self._clock.monotonic())

    def keep(self, write: Callable[[Callable[[Connection], None]], None]) -> bool:
        """Write what changed, by a function that gives its argument a transaction. What fails is tried again later.

        Returns
        -------
        bool
            Whether clients were forgotten.
        """
        self._at = self._clock.monotonic() + LATER
        moved, changed = self._registry.moved, self._registry.moved | self._registry.touched
        if not changed:
            return False
        self._registry.moved, self._registry.touched = set(), set()
        found = [client for name in sorted(changed) if (client := self._registry.get(name))]
        chronicle = self._registry.chronicle
        rows = [{**_row(client), "past": chronicle.past(client.id)} for client in found]
        grown = {client.id for client in found if client.id in chronicle.grown}
        chronicle.grown -= grown
        courses = [course for name in sorted(grown) if (course := chronicle.course(name))]
        forgotten = changed - {client.id for client in found}

        def save(connection: Connection) -> None:
            clients.save(connection, rows, forgotten, courses)
            for part in (models, mirror):  # else names that nobody has any more would fill them
                part.forget(connection, forgotten)

        try:
            write(save)
        except StoreError:  # said by the store
            self._registry.moved |= moved
            self._registry.touched |= changed
            chronicle.grown |= grown
            self._failing = True
            return False
        self._failing = False
        return bool(forgotten)


def _row(client: Client) -> dict[str, Any]:
    return {
        "id": client.id,
        "simulated": client.simulated,
        "version": client.version,
        "protocol": client.protocol,
        "channels": [{"key": channel.key, "unit": channel.unit} for channel in client.channels],
        "groups": dict(client.groups),
        "first_seen": client.first_seen,
        "since": client.since,
        "last_seen": client.last_seen,
        "last_cycle": client.last_cycle,
        # what it goes by is not kept: in private mode nobody is to know of whom that was
        "health": client.health and {name: value for name, value in client.health.to_wire().items() if name != "in_use"},
        "health_at": client.health_at,
    }


def _client(row: Mapping[str, Any]) -> Client:
    known = {name: value for name, value in row.items() if name != "past"}
    known |= {"channels": tuple(Channel(**channel) for channel in row["channels"]), "groups": row["groups"] or {}}
    if row["health"] is not None:
        known["health"] = Health.from_wire({name: row["health"][name] for name in row["health"] if name in Health.__dataclass_fields__})
    # It was there until the server ended, or left before: either way it was seen last at `last_seen`, and is gone since.
    return Client(sid=None, address="", **{**known, "since": max(row["since"], row["last_seen"])})
