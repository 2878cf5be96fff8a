"""The global models of committed rounds, each with what its strategy remembers, and the last update of each client; all by task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, bindparam, delete, select

from bramble_protocol.kinds import Counts
from bramble_protocol.layout import Weights
from bramble_server.store.dialect import Statement, erase_what_is_deleted, upsert
from bramble_server.store.schema import latest_updates, models, standings, strategy_state
from bramble_server.store.weights import KEY, LARGE, Folder, check_sum


@dataclass(frozen=True)
class LatestUpdate:
    """The last update of one client to one task that counted."""

    task: str
    client: str
    round: int
    samples: int
    metrics: Mapping[str, float]
    update_norm: float | None = None
    cosine: float | None = None
    distance: float | None = None
    weights: Weights | None = field(default=None, repr=False)
    """What release 0.1 kept here, until the client's next update; newer ones are in the file of their round."""


@dataclass(frozen=True)
class Memory:
    """What belongs to a model beside its weights: the strategy that made it, and what the next round of that strategy needs to know."""

    strategy: str | None
    """Its name; None for a model of a release that did not note it."""
    parameters: Mapping[str, Any]
    """What was set of it, as JSON can hold it."""
    state: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    """Arrays of numbers by name; those that are read back are not to be written to."""
    counts: Counts = field(default_factory=dict, repr=False)
    """What the clients of its round counted, pooled."""


UNKNOWN = Memory(None, {})

_SAVE = models.insert()
_REMEMBER = Statement(strategy_state.insert(), ("round", "name", "dtype", "shape", "data"))
_THEIRS = models.c.task == bindparam("whose")
_NEWEST = select(models.c.round).where(_THEIRS).order_by(models.c.round.desc())
_CHAMPIONS = select(standings.c.round).where(standings.c.champion)
_TOO_OLD = models.c.round <= _NEWEST.offset(bindparam("keep")).limit(1).scalar_subquery()
_LET_GO = Statement(delete(models).where(_THEIRS, _TOO_OLD, models.c.round.not_in(_CHAMPIONS)))


def save(connection: Connection, task: str, number: int, weights: Weights, memory: Memory, keep: int) -> None:
    """Keep the model of a round, shape (parameters,), with what belongs to it, and only the task's newest ``keep`` (at least one)
    and its champion.
    """
    folder: Folder | None = connection.info.get(KEY) if weights.nbytes >= LARGE else None
    stored = {"weights": b"", "file_check": check_sum(weights)} if folder else {"weights": _pack(weights), "file_check": None}
    made_by = {"strategy": memory.strategy, "parameters": dict(memory.parameters)}
    counts = {name: list(vector) for name, vector in memory.counts.items()} or None
    connection.execute(_SAVE, {"task": task, "round": number, **stored, **made_by, "counts": counts})
    if folder:
        folder.put(number, weights)
    for name, array in memory.state.items():
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        described = {"dtype": plain.dtype.str, "shape": list(array.shape)}
        _REMEMBER.run(connection, {"round": number, "name": name, "data": plain.tobytes(), **described})
    _LET_GO.run(connection, {"whose": task, "keep": max(1, keep)})


def memory(connection: Connection, number: int) -> Memory:
    """Return what belongs to the model of a round; there is nothing where there is no such model."""
    row = connection.execute(select(models.c.strategy, models.c.parameters, models.c.counts).where(models.c.round == number)).first()
    if row is None:
        return UNKNOWN
    state = {
        item.name: np.frombuffer(item.data, item.dtype).reshape(item.shape)
        for item in connection.execute(select(strategy_state).where(strategy_state.c.round == number))
    }
    counts = {name: tuple(vector) for name, vector in (row.counts or {}).items()}
    return Memory(row.strategy, row.parameters or {}, state, counts)


def latest(connection: Connection, task: str) -> tuple[int, Weights] | None:
    """Return round and weights of a task's newest model, or None before its first commit."""
    return _newest(connection, models.c.task == task)


def get(connection: Connection, task: str, number: int) -> Weights | None:
    """Return the model of one round of a task, or None if it never was or was let go."""
    found = _newest(connection, models.c.task == task, models.c.round == number)
    return found and found[1]


def before(connection: Connection, task: str, number: int) -> tuple[int, Weights] | None:
    """Return round and weights of the model that a round of a task began with; None if that was the initial one."""
    return _newest(connection, models.c.task == task, models.c.round < number)


def kept(connection: Connection, task: str) -> list[int]:
    """Return the rounds of a task whose models are there, ascending."""
    return list(connection.scalars(select(models.c.round).where(models.c.task == task).order_by(models.c.round)))


def save_updates(connection: Connection, *updates: LatestUpdate) -> None:
    """Keep clients' updates in place of their former ones, in one statement."""
    rows = [{**vars(one), "metrics": dict(one.metrics), "weights": None if one.weights is None else _pack(one.weights)} for one in updates]
    upsert(connection, latest_updates, rows)


def latest_updates_of_all(connection: Connection, task: str, weights: bool = True) -> Iterator[LatestUpdate]:
    """Yield the last update of each client to a task by id, one in memory at a time; without weights if they are not wanted."""
    columns = [column for column in latest_updates.c if weights or column.name != "weights"]
    theirs = select(*columns).where(latest_updates.c.task == task).order_by(latest_updates.c.client)
    for row in connection.execution_options(yield_per=1).execute(theirs).mappings():
        data = row.get("weights")
        yield LatestUpdate(**{**row, "weights": None if data is None else _unpack(data)})


def rounds_of_updates(connection: Connection) -> dict[tuple[str, str], int]:
    """Return for each task and client the round that its last update is of."""
    found = connection.execute(select(latest_updates.c.task, latest_updates.c.client, latest_updates.c.round))
    return {(row.task, row.client): row.round for row in found}


def forget_clients_weights(connection: Connection) -> None:
    """Erase what evaluation mode kept of single clients' weights, on the disk too."""
    if connection.scalar(select(latest_updates.c.client).where(latest_updates.c.weights.is_not(None)).limit(1)) is not None:
        erase_what_is_deleted(connection)
        connection.execute(latest_updates.update().values(weights=None))


def forget(connection: Connection, clients: Collection[str]) -> None:
    """Forget the last updates of these clients."""
    if clients:
        connection.execute(delete(latest_updates).where(latest_updates.c.client.in_(list(clients))))


def clear(connection: Connection, task: str | None = None) -> None:
    """Forget all models and updates, or those of one task."""
    if folder := connection.info.get(KEY):
        folder.stale = True
    for table in (models, latest_updates):
        connection.execute(delete(table) if task is None else delete(table).where(table.c.task == task))


def in_files(connection: Connection) -> list[int]:
    """Return the rounds whose models' weights have a file."""
    return list(connection.scalars(select(models.c.round).where(models.c.file_check.is_not(None))))


def _newest(connection: Connection, *which: ColumnElement[bool]) -> tuple[int, Weights] | None:
    stored = select(models.c.round, models.c.weights, models.c.file_check).where(*which)
    row = connection.execute(stored.order_by(models.c.round.desc()).limit(1)).first()
    if row is None:
        return None
    if row.file_check is None:
        return row.round, _unpack(row.weights)
    folder: Folder = connection.info[KEY]
    weights = folder.get(row.round, row.file_check)
    return None if weights is None else (row.round, weights)


def _pack(weights: Weights) -> bytes:
    return np.ascontiguousarray(weights, "<f4").tobytes()


def _unpack(data: bytes) -> Weights:
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)
