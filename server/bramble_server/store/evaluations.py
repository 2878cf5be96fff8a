"""Evaluations: which models clients were asked to try, without training, and what each client found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from bramble_server.store import meta
from bramble_server.store.rounds import paged
from bramble_server.store.schema import evaluations, rounds, scores

LAST = "last_evaluation"
"""Under which name ``meta`` keeps the highest number in use; a reset leaves it, for answers may be on their way."""
KEPT = 1000
"""Evaluations of a task that are kept, the newest."""


def begun(connection: Connection, task: str, models: Sequence[int], started: float, until: float, asked: Mapping[str, str | None]) -> int:
    """Record an evaluation of the models of these rounds; return its number.

    Parameters
    ----------
    asked
        The clients, each with None, or why it was not asked.
    """
    number = int(meta.get(connection, LAST, 0)) + 1
    meta.put(connection, LAST, number)
    values = {"evaluation": number, "task": task, "models": list(models), "started": started, "until": until}
    connection.execute(evaluations.insert(), values)
    connection.execute(scores.insert(), [{"evaluation": number, "client": name, "reason": why} for name, why in sorted(asked.items())])
    theirs = select(evaluations.c.evaluation).where(evaluations.c.task == task).order_by(evaluations.c.evaluation.desc())
    too_old = theirs.offset(KEPT).limit(1).scalar_subquery()
    connection.execute(delete(evaluations).where(evaluations.c.task == task, evaluations.c.evaluation <= too_old))
    return number


def answered(connection: Connection, number: int, client: str, found: Mapping[str, Any]) -> None:
    """Record what a client answered: ``samples``, ``baseline``, and ``errors`` and ``counts`` by round, or ``reason``."""
    theirs = update(scores).where(scores.c.evaluation == number, scores.c.client == client)
    connection.execute(theirs.values(**found))


def ended(connection: Connection, number: int, now: float, reason: str) -> None:
    """Record that an evaluation is over, and why the others found nothing."""
    silent = update(scores).where(scores.c.evaluation == number, scores.c.samples.is_(None), scores.c.reason.is_(None))
    connection.execute(silent.values(reason=reason))
    connection.execute(update(evaluations).where(evaluations.c.evaluation == number).values(ended=now))


def open_ones(connection: Connection) -> list[dict[str, Any]]:
    """Return the evaluations that are not over, ascending, each with its clients."""
    return _whole(connection, select(evaluations).where(evaluations.c.ended.is_(None)).order_by(evaluations.c.evaluation))


def history(connection: Connection, task: str, since: int = 0, limit: int = 100, oldest: bool = False) -> list[dict[str, Any]]:
    """Return the newest evaluations of a task after a number, or the oldest, ascending, at most ``limit``, each with its clients."""
    theirs = select(evaluations).where(evaluations.c.task == task, evaluations.c.evaluation > since)
    found = _whole(connection, paged(theirs, evaluations.c.evaluation, limit, oldest))
    return sorted(found, key=lambda item: int(item["evaluation"]))


def last(connection: Connection, task: str) -> dict[str, Any] | None:
    """Return the newest evaluation of a task that is over, with its clients, or None."""
    theirs = select(evaluations).where(evaluations.c.task == task, evaluations.c.ended.is_not(None))
    return next(iter(_whole(connection, theirs.order_by(evaluations.c.evaluation.desc()).limit(1))), None)


def one(connection: Connection, number: int) -> dict[str, Any] | None:
    """Return one evaluation with its clients, or None."""
    return next(iter(_whole(connection, select(evaluations).where(evaluations.c.evaluation == number))), None)


def trained(connection: Connection, task: str, numbers: Sequence[int]) -> int:
    """Return the last round whose updates may be in the models of these rounds; a model that was brought back is that of its own round."""
    found = 0
    for number in numbers:
        seen = {number}
        brought_back = select(rounds.c.rollback_of).where(rounds.c.task == task)
        while (of := connection.scalar(brought_back.where(rounds.c.round == number))) is not None and of not in seen:
            seen.add(number := of)
        found = max(found, number)
    return found


def clear(connection: Connection, task: str | None = None) -> None:
    """Forget all evaluations, or those of one task, but not which numbers are in use."""
    connection.execute(delete(evaluations) if task is None else delete(evaluations).where(evaluations.c.task == task))


def _whole(connection: Connection, query: Any) -> list[dict[str, Any]]:
    found = [{**row, "clients": {}} for row in connection.execute(query).mappings()]
    by_number = {item["evaluation"]: item["clients"] for item in found}
    theirs = select(scores).where(scores.c.evaluation.in_(list(by_number))).order_by(scores.c.evaluation, scores.c.client)
    for row in connection.execute(theirs).mappings():
        by_number[row["evaluation"]][row["client"]] = {name: row[name] for name in ("samples", "baseline", "errors", "counts", "reason")}
    return found
