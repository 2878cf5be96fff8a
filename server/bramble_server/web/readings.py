"""``/data/all``: mirrored readings, in evaluation mode only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Blueprint, Response
from sqlalchemy import Connection

from bramble_server.store import mirror
from bramble_server.web import json_stream, query, tabular
from bramble_server.web.errors import RequestError

if TYPE_CHECKING:
    from bramble_server.web import Services

MOST = 100_000
"""Readings of one channel in one answer."""


def blueprint(services: Services) -> Blueprint:
    """Return the endpoint."""
    part = Blueprint("readings", __name__)

    @part.get("/data/all")
    @query.takes(
        since=query.seconds, limit=query.integer(1, MOST), client=query.client_id, order=query.ORDER, points=query.integer(2, MOST),
        format=tabular.FORMAT,
    )  # fmt: skip
    def data_all() -> Response:
        if services.settings.mode == "private":
            raise RequestError(403, "readings stay on the clients: the server runs in private mode")
        asked = query.asked()
        wanted = Wanted(asked["since"], asked["limit"] or MOST, asked["client"], asked["order"] == "oldest", asked["points"])
        if wanted.oldest and wanted.points is not None:
            raise RequestError(400, "points: goes with the newest readings; of the oldest, page by page, each one is told")
        if wanted.oldest and wanted.client is None:
            raise RequestError(400, "order: the oldest readings are those of one client; name it, as in client=pi-kitchen")
        if tabular.wanted():
            return services.loop.offload(_table, services, wanted)
        return Response(services.loop.offload(_render, services, wanted), mimetype="application/json")

    return part


class Wanted(NamedTuple):
    """Which readings are asked for."""

    since: float | None
    limit: int
    client: str | None
    oldest: bool
    points: int | None


def _table(services: Services, wanted: Wanted) -> Response:
    with services.store.reading() as connection:
        return tabular.answer("readings", dict(_columns(connection, wanted)))


def _render(services: Services, wanted: Wanted) -> bytes:
    with services.store.reading() as connection:
        each = ((client, [json.dumps(columns)]) for client, columns in _columns(connection, wanted))
        return json_stream.rendered(json_stream.members([("clients", json_stream.members(each))]))


def _columns(connection: Connection, wanted: Wanted) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one client's at a time: those of a whole fleet are many."""
    for name in mirror.clients(connection) if wanted.client is None else [wanted.client]:
        for client, channels in mirror.columns(connection, wanted.since, wanted.limit, name, wanted.oldest).items():
            if wanted.points is not None:
                for column in channels.values():
                    column["t"], column["value"] = mirror.thinned(column["t"], column["value"], wanted.points)
            yield client, channels
