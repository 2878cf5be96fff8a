"""The history of rounds, and each client's part in them. All tasks take their numbers from one sequence, so a number says whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Select, bindparam, delete, func, select, update

from bramble_server.store import meta
from bramble_server.store.dialect import Statement, upsert
from bramble_server.store.schema import MEASURES, rounds, standings, updates

_THEIRS, _UNTIL = rounds.c.task == bindparam("whose"), rounds.c.round <= bindparam("until")
_OPEN = Statement(rounds.insert(), ("task", "round", "state", "started", "selected", "updates", "metrics", "how"))
_ASK = Statement(updates.insert(), ("round", "client", "sent"))
_OLD, _TRIM = (
    Statement(select(rounds.c.round).where(_THEIRS, _UNTIL).limit(1)),
    Statement(delete(rounds).where(_THEIRS, _UNTIL, rounds.c.round.not_in(select(standings.c.round).where(standings.c.champion)))),
)
_BEFORE = select(rounds.c.round).where(_THEIRS, rounds.c.round < bindparam("number")).order_by(rounds.c.round.desc())
_TOO_OLD = Statement(_BEFORE.offset(bindparam("stay")).limit(1))
_END = update(rounds).where(rounds.c.round == bindparam("number"))
_COMMITTED = Statement(_END, ("state", "ended", "updates", "metrics", "reason"))
_ABANDONED = Statement(_END, ("state", "ended", "updates", "reason"))


def opened(
    connection: Connection, task: str, number: int, started: float, clients: Sequence[str], sent: float | None = None,
    how: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Record a round as running, what it goes by, and that these clients were sent the model."""
    values = {"state": "running", "started": started, "selected": len(clients), "updates": 0, "metrics": {}, "how": how and dict(how)}
    _OPEN.run(connection, {"task": task, "round": number, **values})
    if clients:
        _ASK.run(connection, *({"round": number, "client": client, "sent": sent} for client in clients))


def number_used(connection: Connection, number: int) -> None:
    """Record that a round's number is in use, whatever becomes of the round."""
    meta.put(connection, "last_round", number)


def trim(connection: Connection, task: str, number: int, keep: int) -> None:
    """Forget the rounds of a task, and the clients' parts in them, that are not among its last ``keep`` up to this number.

    That of the champion stays with its model.
    """
    if _OLD.run(connection, {"whose": task, "until": number - keep}).fetchone() is None:
        return  # there can be no more than ``keep``, and they need not be counted
    newest = _TOO_OLD.run(connection, {"whose": task, "number": number, "stay": keep - 1}).fetchone()
    if newest is not None:
        _TRIM.run(connection, {"whose": task, "until": newest[0]})


def parts(connection: Connection, number: int, known: Sequence[Mapping[str, Any]]) -> None:
    """Record what is now known of clients' parts in a round: each item has ``client`` and the columns to set, alike in all.

    Those are any of ``schema.MEASURES``, and ``reason``, why it dropped; one that delivers after all is dropped no more.
    """
    if known:
        upsert(connection, updates, [{"round": number, **item} for item in known])


def committed(
    connection: Connection, number: int, ended: float, count: int, metrics: Mapping[str, float], remark: str | None = None
) -> None:
    """Record that a round ended with a new model, averaged from this many updates, and who was left out of it."""
    values = {"state": "committed", "ended": ended, "updates": count, "metrics": dict(metrics), "reason": remark and remark[:500]}
    _COMMITTED.run(connection, {"number": number, **values})


def abandoned(connection: Connection, number: int, ended: float, count: int, reason: str) -> None:
    """Record that a round ended without one."""
    values = {"state": "abandoned", "ended": ended, "updates": count, "reason": reason[:500]}
    _ABANDONED.run(connection, {"number": number, **values})


def running(connection: Connection, task: str) -> tuple[int, float] | None:
    """Return number and start of the round that a killed server left open, if it is its task's last."""
    theirs = select(rounds.c.round, rounds.c.started, rounds.c.state).where(rounds.c.task == task)
    row = connection.execute(theirs.order_by(rounds.c.round.desc()).limit(1)).first()
    return (row.round, row.started) if row and row.state == "running" else None


def recover(
    connection: Connection, task: str, now: float, remember: int, but: int | None = None, reason: str = "server restarted"
) -> tuple[int, dict[int, frozenset[str]]]:
    """Close the rounds of a task that a killed server left open, as abandoned, but for one that goes on.

    Returns
    -------
    tuple
        The last round number in use by any task (0 for none), and who delivered what it was asked in each of this one's last
        ``remember`` rounds: with these the state machine answers a client whose acknowledgement got lost as it was answered before.
    """
    left = update(rounds).where(rounds.c.task == task, rounds.c.state == "running", rounds.c.round != (but or 0))
    connection.execute(left.values(state="abandoned", ended=now, reason=reason))
    last, newest_of_all = int(meta.get(connection, "last_round", 0)), connection.scalar(select(func.max(rounds.c.round))) or 0
    if newest_of_all > last:  # it had been opened, and the server was killed before it noted the number
        last = newest_of_all
        number_used(connection, last)
    over = select(rounds.c.round).where(rounds.c.task == task, rounds.c.round != (but or 0), rounds.c.rollback_of.is_(None))
    newest = list(connection.scalars(over.order_by(rounds.c.round.desc()).limit(remember)))
    delivered = updates.c.replied.is_not(None)  # also of one that was left out: its update was taken
    answered: dict[int, set[str]] = {number: set() for number in newest}
    asked = func.coalesce(updates.c.asked, updates.c.round)
    for number, client in connection.execute(select(asked, updates.c.client).where(delivered, updates.c.round.in_(newest))):
        if number in answered:
            answered[number].add(client)
    return last, {number: frozenset(clients) for number, clients in answered.items()}


def rolled_back(connection: Connection, task: str, number: int, to: int, now: float, why: str | None = None) -> None:
    """Record that a round's number was taken for the model of an older one, and why where nobody asked for it."""
    values = {"state": "committed", "started": now, "ended": now, "selected": 0, "updates": 0, "metrics": {}}
    reason = f"rolled back to the model of round {to}" + (f": {why}" if why else "")
    connection.execute(rounds.insert().values(task=task, round=number, rollback_of=to, reason=reason[:500], **values))
    number_used(connection, number)


def came_to_nothing(connection: Connection, task: str, limit: int) -> dict[str, tuple[int, ...]]:
    """Return of each client in which rounds it was asked for answers that a task's newest abandoned rounds took, ascending."""
    theirs = select(rounds.c.round).where(rounds.c.task == task, rounds.c.state == "abandoned")
    newest = list(connection.scalars(theirs.order_by(rounds.c.round.desc()).limit(limit)))
    asked = func.coalesce(updates.c.asked, updates.c.round).label("asked")
    taken = select(updates.c.client, asked).where(updates.c.round.in_(newest), updates.c.replied.is_not(None)).order_by(asked)
    found: dict[str, tuple[int, ...]] = {}
    for client, number in connection.execute(taken):
        found[client] = (*found.get(client, ()), number)
    return found


def lineage(connection: Connection, task: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest committed rounds that led to a task's model, ascending, with their clients; what was rolled back did not."""
    newest = select(rounds).where(rounds.c.task == task, rounds.c.state == "committed").order_by(rounds.c.round.desc())
    found: list[dict[str, Any]] = []
    until: int | None = None
    for row in connection.execute(newest).mappings():
        if until is not None and row["round"] > until:
            continue
        until = row["rollback_of"]
        if until is None:
            found.append(dict(row))
            if len(found) == limit:
                break
    if found:
        _add_clients(connection, found)
    return found[::-1]


def history(
    connection: Connection,
    task: str,
    since: int = 0,
    limit: int = 100,
    clients: bool = False,
    oldest: bool = False,
    client: str | None = None,
) -> list[dict[str, Any]]:
    """Return the newest rounds of a task after number ``since``, or the oldest, ascending, at most ``limit``, in the form that HTTP serves.

    With ``clients`` each has the measures of its clients by id, of ``client`` alone if one is named.
    """
    theirs = select(rounds).where(rounds.c.task == task, rounds.c.round > since)
    found = [_shown(row) for row in connection.execute(paged(theirs, rounds.c.round, limit, oldest)).mappings()]
    found.sort(key=lambda item: item["round"])
    if clients and found:
        _add_clients(connection, found, client)
    return found


def paged(wanted: Select[Any], number: Column[Any], limit: int, oldest: bool) -> Select[Any]:
    """Have a query find the newest rows by their number, or the oldest, at most ``limit``."""
    return wanted.order_by(number.asc() if oldest else number.desc()).limit(limit)


def one(connection: Connection, number: int, clients: bool = True) -> dict[str, Any] | None:
    """Return one round, with its clients unless they are not wanted, or None."""
    row = connection.execute(select(rounds).where(rounds.c.round == number)).mappings().first()
    if row is None:
        return None
    found = _shown(row)
    if clients:
        _add_clients(connection, [found])
    return found


def clear(connection: Connection, task: str | None = None) -> None:
    """Forget all rounds, or those of one task, their clients' parts included, but not which numbers are in use."""
    connection.execute(delete(rounds) if task is None else delete(rounds).where(rounds.c.task == task))


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a round in the form that HTTP serves: what it went by stands beside the rest."""
    found = dict(row)
    return {**dict.fromkeys(("strategy", "codec", "discipline", "selection", "seed", "deadline")), **(found.pop("how") or {}), **found}


def _add_clients(connection: Connection, found: Sequence[dict[str, Any]], client: str | None = None) -> None:
    by_round: dict[int, dict[str, Any]] = {item["round"]: item.setdefault("clients", {}) for item in found}
    theirs = select(updates).where(updates.c.round.in_(list(by_round))).order_by(updates.c.round, updates.c.client)
    for row in connection.execute(theirs if client is None else theirs.where(updates.c.client == client)).mappings():
        by_round[row["round"]][row["client"]] = {name: row[name] for name in (*MEASURES, "reason")}
