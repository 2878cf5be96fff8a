"""Small facts that must survive a restart: the world's clock, the cycle, which graph a task's history is of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, delete, select

from bramble_protocol.graph import GraphFile
from bramble_server.store import schema
from bramble_server.store.dialect import upsert
from bramble_server.store.errors import StoreError

KEPT = ("schema", "graphs", "last_round", "last_evaluation", "cycle", "privacy", "quarantine")
"""What a reset leaves: numbers in use on the wire are never used twice, or what is still on its way would be taken for new; what
models told of clients, which forgetting them here does not take back; and who is not asked, whom an operator lets back and nothing else."""


def get(connection: Connection, name: str, default: Any = None) -> Any:
    """Return a fact as it was put, a value that JSON can hold."""
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.name == name)).first()
    return default if found is None else found.value


def put(connection: Connection, name: str, value: Any) -> None:
    """Keep a fact under a name."""
    upsert(connection, schema.meta, [{"name": name, "value": value}])


def adopt(connection: Connection, task: str, graph: GraphFile, former: Collection[str] = ()) -> bool:
    """Tie a task's history to its graph when it is first served; check it whenever it is again.

    A graph that was made anew goes on with the history of the one before if a model means the same to both.

    Parameters
    ----------
    task
        What the task is called here.
    former
        Digests of graphs to which it means the same, for a database that does not say.

    Returns
    -------
    bool
        Whether the history is that of a graph before this one.

    Raises
    ------
    StoreError
        If the history of a task by this name is that of a graph that means something else by its weights.
    """
    meaning = graph.manifest.meaning
    known = get(connection, "graphs", {})
    owner = known.get(task)
    if owner is not None and owner[0] != graph.sha256 and meaning not in owner[1:] and owner[0] not in former:
        raise StoreError(
            f"database: its history of task {task} is that of graph {owner[0][:12]}, to whose models graph {graph.sha256[:12]} gives "
            "another meaning: give the task another name, or choose another --data-dir"
        )
    if owner != [graph.sha256, meaning]:
        put(connection, "graphs", {**known, task: [graph.sha256, meaning]})
    return owner is not None and owner[0] != graph.sha256


def clear(connection: Connection) -> None:
    """Forget what a reset forgets."""
    connection.execute(delete(schema.meta).where(schema.meta.c.name.not_in(KEPT)))
