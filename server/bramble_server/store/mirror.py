"""Readings that clients mirror in evaluation mode, for people to look at.

They sit apart: nothing that averages imports this module, and an import contract keeps it so.
"""

from __future__ import annotations

import logging
import math
import random
import time
from bisect import bisect_right
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Column, Connection, Float, ForeignKey, Integer, String, Table, UniqueConstraint, delete, func, select

from bramble_protocol.clock import Clock
from bramble_protocol.messages import MAX_CHANNELS, DataUpdate
from bramble_server.store.dialect import upsert
from bramble_server.store.schema import metadata

log = logging.getLogger(__name__)

MOST_CHANNELS = 2 * MAX_CHANNELS
"""Channels that are kept of one client: all that it may have, and a forecast of each."""

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("client", String(63), nullable=False),
    Column("channel", String(63), nullable=False),
    Column("unit", String(20), nullable=False),
    UniqueConstraint("client", "channel"),
)

readings = Table(
    "readings",
    metadata,
    Column("series", ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
    Column("t", Float(53), primary_key=True),  # seconds since 1970 UTC
    Column("value", Float(53)),  # NULL: the reading failed
    sqlite_with_rowid=False,
)


def add(
    connection: Connection, client: str, update: DataUpdate, keep: float = math.inf, most: float = math.inf, clock: Clock = time
) -> int:
    """Keep the readings of a message; return how many it brought. One that is there already, by time, is replaced.

    Nothing of a channel is kept that would be one too many.

    Parameters
    ----------
    keep
        Seconds for which readings are kept: older ones of the same channels are let go, counted from the newest of the message. A
        clock that runs ahead must not cost what is there, so never from later than now.
    most
        Readings that are kept of one client, give or take a hundredth; the oldest of its channels make room, each for its own.
    """
    oldest = min(update.t[-1], clock.time()) - keep if update.t else -math.inf
    for key, column in update.channels.items():
        number = _series(connection, client, key, column.unit)
        if number is None:
            continue
        upsert(connection, readings, [{"series": number, "t": t, "value": v} for t, v in zip(update.t, column.value, strict=True)])
        if oldest > -math.inf:  # a single seek in the index where nothing is due
            connection.execute(delete(readings).where(readings.c.series == number, readings.c.t < oldest))
    brought = len(update.t) * len(update.channels)
    # To look for the one beyond the last is to walk past all of them: about once for every hundredth that comes.
    if random.random() * most < 100 * brought:
        _make_room(connection, client, most)
    return brought


def _make_room(connection: Connection, client: str, most: float) -> None:
    numbers = connection.scalars(select(series.c.id).where(series.c.client == client)).all()
    share = max(1, int(most) // max(1, len(numbers)))
    for number in numbers:
        newest = select(readings.c.t).where(readings.c.series == number).order_by(readings.c.t.desc()).offset(share).limit(1)
        beyond = connection.scalar(newest)
        if beyond is not None:
            connection.execute(delete(readings).where(readings.c.series == number, readings.c.t <= beyond))
            _say_once(f"{client} has mirrored {most:,} readings: the oldest make room; raise keep_per_client, or lower keep_readings")


@lru_cache(1000)
def _say_once(sentence: str) -> None:
    log.warning("%s", sentence)


def _series(connection: Connection, client: str, channel: str, unit: str) -> int | None:
    found = connection.execute(select(series).where(series.c.client == client, series.c.channel == channel)).first()
    if found is None:
        if connection.scalar(select(func.count()).where(series.c.client == client)) >= MOST_CHANNELS:  # type: ignore[operator]
            _say_once(f"{client} mirrors more than {MOST_CHANNELS} channels: the readings of any other are not kept")
            return None
        return int(connection.scalars(series.insert().values(client=client, channel=channel, unit=unit).returning(series.c.id)).one())
    if found.unit != unit:
        connection.execute(series.update().where(series.c.id == found.id).values(unit=unit))
    return int(found.id)


def clients(connection: Connection) -> list[str]:
    """Return the ids of all clients of which there are readings, in order."""
    return list(connection.scalars(select(series.c.client).distinct().order_by(series.c.client)))


def columns(
    connection: Connection, since: float | None = None, limit: int | None = None, client: str | None = None, oldest: bool = False
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return ``{client: {channel: {"unit", "t": [...], "value": [...]}}}``, times ascending.

    Parameters
    ----------
    since
        Only readings after this time, seconds since 1970 UTC.
    limit
        Only the newest so many of each channel.
    client
        Only this client.
    oldest
        The oldest of each channel in place of the newest, and none after the time at which the first channel had its ``limit``:
        who asks for what is after the last of them misses none, and gets none twice.
    """
    wanted = select(series).order_by(series.c.client, series.c.channel)
    if client is not None:
        wanted = wanted.where(series.c.client == client)
    answer: dict[str, dict[str, dict[str, Any]]] = {}
    until = math.inf
    for one in connection.execute(wanted).all():
        theirs = select(readings.c.t, readings.c.value).where(readings.c.series == one.id)
        if since is not None:
            theirs = theirs.where(readings.c.t > since)
        rows = connection.execute(theirs.order_by(readings.c.t.asc() if oldest else readings.c.t.desc()).limit(limit)).all()
        rows = rows if oldest else rows[::-1]
        if oldest and len(rows) == limit:
            until = min(until, float(rows[-1][0]))
        answer.setdefault(one.client, {})[one.channel] = {"unit": one.unit, "t": [t for t, _ in rows], "value": [v for _, v in rows]}
    if until < math.inf:
        for channels in answer.values():
            for column in channels.values():
                count = bisect_right(column["t"], until)
                column["t"], column["value"] = column["t"][:count], column["value"][:count]
    return answer


def thinned(t: Sequence[float], value: Sequence[float | None], points: int) -> tuple[list[float], list[float | None]]:
    """Return at most ``points`` readings that stand for all, so that no spike is lost.

    Of each of ``points // 2`` stretches of equal length it is the lowest and the highest, as they were; of one in which every reading
    failed, its first.

    Parameters
    ----------
    t
        Times, ascending.
    value
        What was read; None where it failed.
    """
    if len(t) <= points:
        return list(t), list(value)
    when, read = np.asarray(t, np.float64), np.asarray(value, np.float64)
    stretches = points // 2
    place = np.minimum(((when - when[0]) / (when[-1] - when[0]) * stretches).astype(np.intp), stretches - 1)
    by_value = np.lexsort((read, place))  # what failed is NaN, and comes last within its stretch
    first = np.flatnonzero(np.diff(place[by_value], prepend=-1))
    known = np.bincount(place, np.isfinite(read), stretches)[place[by_value][first]].astype(np.intp)
    kept = np.unique(by_value[np.concatenate([first, first + np.maximum(known, 1) - 1])])
    return when[kept].tolist(), [value[at] for at in kept]


def forget(connection: Connection, names: Collection[str]) -> None:
    """Forget all readings of these clients, with the series that they belong to."""
    if names:
        connection.execute(delete(series).where(series.c.client.in_(list(names))))


def clear(connection: Connection) -> None:
    """Forget all readings, with the series that they belong to."""
    connection.execute(delete(series))
