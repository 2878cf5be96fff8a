"""Who was ever seen. A reset keeps it: what a fleet learned is forgotten, not who it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from bramble_server.store.dialect import upsert
from bramble_server.store.schema import clients, courses


def load(connection: Connection) -> list[dict[str, Any]]:
    """Return every client as it was saved, the one gone longest first."""
    return [dict(row) for row in connection.execute(select(clients).order_by(clients.c.since)).mappings()]


def load_courses(connection: Connection) -> list[dict[str, Any]]:
    """Return how each client's machine was, as it was saved."""
    return [dict(row) for row in connection.execute(select(courses)).mappings()]


def save(
    connection: Connection, known: Sequence[Mapping[str, Any]], forgotten: Collection[str] = (), grown: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write these clients and these courses of their machines, each with all columns, and delete those other clients with theirs."""
    upsert(connection, clients, [dict(client) for client in known])
    upsert(connection, courses, [dict(course) for course in grown])
    if forgotten:
        connection.execute(delete(clients).where(clients.c.id.in_(list(forgotten))))
