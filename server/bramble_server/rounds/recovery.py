"""What a former process left in the store and in the data directory: a server that was killed goes on from there."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bramble_protocol.clock import Clock
from bramble_protocol.graph import GraphFile
from bramble_server import tasks
from bramble_server.rounds import going
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.machine import REMEMBERED
from bramble_server.rounds.roundfile import Record, RoundFile, UnderWay
from bramble_server.rounds.view import Model
from bramble_server.settings import ServerSettings
from bramble_server.store import Store, StoreError, meta, models, rounds

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Tries to make a model of a round after which it is given up: a commit that kills the server must not do so at every start."""


@dataclass(frozen=True)
class Left:
    """What a former process left of one task."""

    last: int
    """The highest round number in use by any task."""
    answered: dict[int, frozenset[str]]
    """Who delivered in each of its last rounds."""
    model: Model | None
    """The newest model; None before the first commit."""
    open_round: tuple[RoundFile, list[Record]] | None
    """The file of the round that was open, and what is noted in it."""
    going: Mapping[str, UnderWay] | None = None
    """If the next round was to follow by itself and is not open yet: who trains on for it."""


def recover(
    connection: Connection,
    task: str,
    settings: ServerSettings,
    graph: GraphFile,
    archive: Archive,
    clock: Clock,
    remember: int = REMEMBERED,
) -> Left:
    """Read what there is of one task, and close as abandoned what cannot go on.

    Parameters
    ----------
    remember
        Of how many rounds that are over it is wanted who delivered.

    Raises
    ------
    StoreError
        If the store's history of that task is of a graph that means something else.
    """
    if meta.adopt(connection, task, graph, tasks.former(task, graph.manifest)):
        log.info("the graph of task %s was made anew, and the history of its models goes on", task)
    open_round, reason = _open_round(rounds.running(connection, task), settings, graph, archive)
    number = open_round[0].header.round if open_round else None
    last, answered = rounds.recover(connection, task, clock.time(), remember, number, reason)
    newest = models.latest(connection, task)
    history: Mapping[str, Any] = (newest and rounds.one(connection, newest[0], clients=False)) or {}
    counts = models.memory(connection, newest[0]).counts if newest else {}
    follows = None if open_round else going.read(connection, task, max(answered, default=0))
    return Left(last, answered, Model(newest[0], newest[1], history.get("metrics", {}), counts) if newest else None, open_round, follows)


def hold(connection: Connection, served: Collection[str], mode: str, archive: Archive) -> None:
    """Keep the files of rounds that tasks have open which are not served now: when one is served again, its round goes on."""
    for task in meta.get(connection, "graphs", {}):
        running = None if task in served else rounds.running(connection, task)
        found = running and archive.reopen(running[0])
        if running and found:
            found[0].close()
            if found[0].header.mode == mode:
                archive.hold(running[0])


def tidy(store: Store, archive: Archive, mode: str, erase: bool = False) -> None:
    """Delete the files of all rounds but the open ones, and, in evaluation mode, those that some client's latest update is in.

    Parameters
    ----------
    erase
        Write over them first.
    """
    archive.latest = None
    if mode == "evaluation":
        try:
            with store.reading() as connection:
                archive.latest = models.rounds_of_updates(connection)
        except StoreError:  # said by the store; the next round's end tidies up
            return
    archive.keep(set((archive.latest or {}).values()), erase)


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
    elif header.under_way and settings.discipline == "synchronous":
        reason = "server restarted with synchronous rounds"
    elif sum(record.about["kind"] == "attempt" for record in records) >= ATTEMPTS:
        reason = f"server ended {ATTEMPTS} times while it made a model of it"
    if not reason:
        archive.hold(header.round)
        return found, ""
    file.close()
    return None, reason
