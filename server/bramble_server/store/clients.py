"""Who was ever seen. A reset keeps it: what a fleet learned is forgotten, not who it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from bramble_server.store.dialect import upsert
from bramble_server.store.schema import clients


def load(connection: Connection) -> list[dict[str, Any]]:
    """Return every client as it was saved, the one gone longest first."""
    return [dict(row) for row in connection.execute(select(clients).order_by(clients.c.since)).mappings()]


def save(connection: Connection, known: Sequence[Mapping[str, Any]], forgotten: Collection[str] = ()) -> None:
    """Write these clients, each with all columns, and delete those others."""
    upsert(connection, clients, [dict(client) for client in known])
    if forgotten:
        connection.execute(delete(clients).where(clients.c.id.in_(list(forgotten))))
