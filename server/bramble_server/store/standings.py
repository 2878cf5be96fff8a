"""How well the models that are kept forecast, and which one of a task is its champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select, update

from bramble_server.store.dialect import upsert
from bramble_server.store.schema import models, standings

_BLANK = {"error": None, "baseline": None, "samples": None, "champion": False, "pinned": False, "worse": 0}


@dataclass(frozen=True)
class Standing:
    """What is known of one model."""

    round: int
    error: float | None = None
    """Its mean error over readings that nobody had trained on, as clients report it; None where none came yet."""
    baseline: float | None = None
    """The baseline's there."""
    samples: int | None = None
    """How many windows these are means over."""
    champion: bool = False
    """Whether it is the best of its task so far."""
    pinned: bool = False
    """Whether it stays that, whatever comes."""
    worse: int = 0
    """Of a champion: in how many rounds in a row the newest model was worse by more than the bound."""


def of(connection: Connection, task: str) -> dict[int, Standing]:
    """Return what is known of a task's models, by round."""
    return {row["round"]: Standing(**row) for row in connection.execute(_theirs(task)).mappings()}


def champion(connection: Connection, task: str) -> Standing | None:
    """Return the champion of a task; None where no model was tested yet."""
    row = connection.execute(_theirs(task).where(standings.c.champion)).mappings().first()
    return None if row is None else Standing(**row)


def tested(connection: Connection, number: int, error: float, baseline: float | None, samples: int) -> None:
    """Note how well the model of a round forecast; nothing where that model is not kept any more."""
    _put(connection, number, {"error": error, "baseline": baseline, "samples": samples})


def crown(connection: Connection, task: str, number: int, pinned: bool = False, worse: int = 0) -> None:
    """Make the model of a round its task's champion, and no other."""
    theirs = standings.c.round.in_(select(models.c.round).where(models.c.task == task, models.c.round != number))
    connection.execute(update(standings).where(theirs, standings.c.champion).values(champion=False, pinned=False, worse=0))
    _put(connection, number, {"champion": True, "pinned": pinned, "worse": worse})


def inherit(connection: Connection, number: int, former: int) -> None:
    """Give the model of a round, which is that of a former one again, the measures of that."""
    row = connection.execute(select(standings).where(standings.c.round == former)).mappings().first()
    if row is not None:
        _put(connection, number, {name: row[name] for name in ("error", "baseline", "samples")})


def _put(connection: Connection, number: int, known: Mapping[str, Any]) -> None:
    if connection.scalar(select(models.c.round).where(models.c.round == number)) is None:
        return
    former = connection.execute(select(standings).where(standings.c.round == number)).mappings().first()
    upsert(connection, standings, [{**_BLANK, **(former or {}), "round": number, **known}])


def _theirs(task: str) -> Select[Any]:
    return select(standings).join(models, models.c.round == standings.c.round).where(models.c.task == task)
