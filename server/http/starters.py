"""``/``, ``/reset`` and ``/generate``: what starts something. GET and POST alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from protocol.messages import MAX_READINGS
from server.http import query
from server.http.guards import only_on_purpose

if TYPE_CHECKING:
    from server.http import Room

BOTH = ["GET", "POST"]
READINGS = 24


def blueprint(room: Room) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("starters", __name__)
    part.before_request(only_on_purpose)

    @part.route("/", methods=BOTH)
    def start() -> tuple[Response, int]:
        query.read()
        opened = room.coordinator.start_round()
        return jsonify(round=opened.round, clients=list(opened.clients)), 202

    @part.route("/reset", methods=BOTH)
    def reset() -> Response:
        query.read()
        return jsonify(clients=room.coordinator.reset())

    @part.route("/generate", methods=BOTH)
    def generate() -> tuple[Response, int]:
        count = query.read(count=query.integer(1, MAX_READINGS))["count"] or READINGS
        cycle, clients = room.coordinator.generate(count)
        return jsonify(cycle=cycle, clients=clients), 202

    return part
