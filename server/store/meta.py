"""Small facts that must survive a restart: the world's clock, the cycle, which task this history is of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select

from server.store import schema
from server.store.dialect import upsert
from server.store.errors import StoreError

KEPT = ("schema", "graph", "last_round", "cycle")
"""What a reset leaves: numbers in use on the wire are never used twice, or what is still on its way would be taken for new."""


def get(connection: Connection, name: str, default: Any = None) -> Any:
    """Return a fact as it was put, a value that JSON can hold."""
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == name)).first()
    return default if found is None else found.value


def put(connection: Connection, name: str, value: Any) -> None:
    """Keep a fact under a name."""
    upsert(connection, schema.meta, [{"name": name, "value": value}])


def adopt(connection: Connection, task: str, graph: str) -> None:
    """Tie the database to a task's graph, by name and SHA-256, at the first start; check it at every later one.

    Raises
    ------
    StoreError
        If the history in it is that of another graph.
    """
    owner = get(connection, "graph")
    if owner is None:
        put(connection, "graph", [task, graph])
    elif owner != [task, graph]:
        raise StoreError(
            f"database: it holds the history of task {owner[0]} (graph {owner[1][:12]}), not of {task} (graph {graph[:12]}): "
            "choose another --data-dir"
        )


def clear(connection: Connection) -> None:
    """Forget what a reset forgets."""
    connection.execute(delete(schema.meta).where(schema.meta.c.name.not_in(KEPT)))
