"""What a former process left in the store and in the data directory: a server that was killed goes on from there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bramble_protocol.graph import GraphFile
from bramble_server import tasks
from bramble_server.clock import Clock
from bramble_server.rounds import synchronous
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.cycle import World
from bramble_server.rounds.roundfile import Record, RoundFile
from bramble_server.rounds.view import Model
from bramble_server.settings import ServerSettings
from bramble_server.store import clients, meta, models, rounds

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Tries to make a model of a round after which it is given up: a commit that kills the server must not do so at every start."""


@dataclass(frozen=True)
class Left:
    """What there is."""

    last: int
    """The highest round number in use."""
    answered: dict[int, frozenset[str]]
    """Who delivered in each of the last rounds."""
    model: Model | None
    """The newest model; None before the first commit."""
    world: dict[str, Any]
    clients: list[dict[str, Any]]
    behind: set[str]
    """Clients that have not heard of a reset."""
    open_round: tuple[RoundFile, list[Record]] | None
    """The file of the round that was open, and what is noted in it."""


def recover(connection: Connection, settings: ServerSettings, graph: GraphFile, archive: Archive, clock: Clock) -> Left:
    """Read it all, and close as abandoned what cannot go on.

    Raises
    ------
    StoreError
        If the store is that of another task.
    """
    if settings.mode == "private":
        models.forget_clients_weights(connection)
    manifest = graph.manifest
    if meta.adopt(connection, graph, tasks.former(manifest.task, manifest.horizon)):
        log.info("the task's graph was made anew, and the history of its models goes on")
    open_round, reason = _open_round(rounds.running(connection), settings, graph, archive)
    number = open_round[0].header.round if open_round else None
    last, answered = rounds.recover(connection, clock.time(), synchronous.REMEMBERED, number, reason)
    newest = models.latest(connection)
    history: Mapping[str, Any] = (newest and rounds.one(connection, newest[0], clients=False)) or {}
    return Left(
        last,
        answered,
        Model(newest[0], newest[1], history.get("metrics", {})) if newest else None,
        World.load(connection),
        clients.load(connection),
        set(meta.get(connection, "behind", [])),
        open_round,
    )


def _open_round(
    running: tuple[int, float] | None, settings: ServerSettings, graph: GraphFile, archive: Archive
) -> tuple[tuple[RoundFile, list[Record]] | None, str]:
    """Return the file of the round that was open, or None and why it cannot go on."""
    found = archive.reopen(running[0]) if running else None
    if found is None or running is None:
        return None, "server restarted"
    file, records = found
    header, reason = file.header, ""
    if (header.round, header.started) != running:  # the database is a copy from elsewhere
        reason = "server restarted"
    elif (header.graph, header.size) != (graph.sha256, graph.manifest.layout.size):
        reason = "server restarted with another graph"
    elif header.mode != settings.mode:
        reason = f"server restarted in {settings.mode} mode"
    elif sum(record.about["kind"] == "attempt" for record in records) >= ATTEMPTS:
        reason = f"server ended {ATTEMPTS} times while it made a model of it"
    if not reason:
        return found, ""
    file.close()
    return None, reason
