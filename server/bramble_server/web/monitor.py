"""``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from bramble_server.metrics import CONTENT_TYPE
from bramble_server.store import StoreError
from bramble_server.web import query
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_server.web import Services


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("monitor", __name__)

    @part.get("/healthz")
    @query.ignored
    def healthz() -> Response:
        return jsonify(ok=True)

    @part.get("/readyz")
    @query.ignored
    def readyz() -> tuple[Response, int]:
        with suppress(StoreError):
            services.loop.offload(services.store.probe)
        trouble = str(services.store.trouble)
        return (jsonify(ready=False, error=trouble), 503) if trouble else (jsonify(ready=True), 200)

    @part.get("/metrics")
    @needs("metrics")
    def metrics() -> Response:
        with suppress(StoreError):
            services.loop.offload(services.store.probe)
        return Response(services.metrics.text(), content_type=CONTENT_TYPE)

    return part
