"""``/clients``: who there is, and forgetting who is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from bramble_protocol.printable import printable
from bramble_server.web import query, tabular
from bramble_server.web.errors import RequestError
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_server.web import Services


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("clients", __name__)

    @part.get("/clients")
    @query.takes(task=query.text, format=tabular.FORMAT)
    def clients() -> Response:
        task = services.track(query.asked()["task"]).task
        found = services.registry.to_json(services.coordinator.view.tasks[task].waiting_for, task)
        if services.settings.mode == "private":  # counts alone, in /status
            for client in found.values():
                (client["health"] or {}).pop("in_use", None)
        if tabular.wanted():
            return tabular.answer("clients", found)
        return jsonify(
            clients=found, never_seen=services.never_seen(), refused=services.registry.refused.to_json(services.registry.clock.time())
        )

    @part.delete("/clients/<name>")
    @needs("admin")
    def forget(name: str) -> Response:
        known = services.registry.get(name)
        if known is None:
            raise RequestError(404, f"there is no client {printable(name)[:63]}")
        if not services.registry.forget(name):
            raise RequestError(409, f"{name} is connected; end it first, or take its token away")
        services.coordinator.listed()
        return jsonify(forgotten=name)

    return part
