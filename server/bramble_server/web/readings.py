"""``/data/all``: mirrored readings, in evaluation mode only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask import Blueprint, Response
from sqlalchemy import Connection

from bramble_server.store import mirror
from bramble_server.web import json_stream, query
from bramble_server.web.errors import RequestError

if TYPE_CHECKING:
    from bramble_server.web import Services

MOST = 100_000
"""Readings of one channel in one answer."""


def blueprint(services: Services) -> Blueprint:
    """Return the endpoint."""
    part = Blueprint("readings", __name__)

    @part.get("/data/all")
    @query.takes(since=query.seconds, limit=query.integer(1, MOST), client=query.client_id)
    def data_all() -> Response:
        if services.settings.mode == "private":
            raise RequestError(403, "readings stay on the clients: the server runs in private mode")
        asked = query.asked()
        body = services.loop.offload(_render, services, asked["since"], asked["limit"] or MOST, asked["client"])
        return Response(body, mimetype="application/json")

    return part


def _render(services: Services, since: float | None, limit: int, client: str | None) -> bytes:
    with services.store.reading() as connection:
        names = mirror.clients(connection) if client is None else [client]
        return json_stream.rendered(json_stream.members([("clients", json_stream.members(_columns(connection, names, since, limit)))]))


def _columns(connection: Connection, names: list[str], since: float | None, limit: int) -> Iterator[tuple[str, list[str]]]:
    for name in names:
        for client, columns in mirror.columns(connection, since, limit, name).items():
            yield client, [json.dumps(columns)]
