"""``/healthz`` and ``/metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from server.http.scopes import needs
from server.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from server.http import Room


def blueprint(room: Room) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("monitor", __name__)

    @part.get("/healthz")
    def healthz() -> Response:
        return jsonify(ok=True)

    @part.get("/metrics")
    @needs("metrics")
    def metrics() -> Response:
        return Response(room.metrics.text(), content_type=CONTENT_TYPE)

    return part
