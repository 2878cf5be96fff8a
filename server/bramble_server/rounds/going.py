"""What is noted of rounds that follow one another by themselves: a server that is killed between two of them goes on."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from bramble_server.rounds.roundfile import UnderWay
from bramble_server.store import meta

_NAME = "going"


def note(connection: Connection, task: str, number: int, under_way: Mapping[str, tuple[int, float | None]]) -> None:
    """Note that another round follows one of a task, and who trains on for that: in which round each was asked, and when."""
    meta.put(connection, _NAME, {**meta.get(connection, _NAME, {}), task: {"round": number, "under_way": dict(under_way)}})


def read(connection: Connection, task: str, number: int) -> dict[str, UnderWay] | None:
    """Return who trains on for the round that is to follow one of a task; None if none is to follow by itself."""
    noted = meta.get(connection, _NAME, {}).get(task)
    if noted is None or noted["round"] != number:
        return None
    return {client: UnderWay(asked, 1, sent) for client, (asked, sent) in noted["under_way"].items()}
