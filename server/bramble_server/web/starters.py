"""``/``, ``/reset`` and ``/generate``: what starts something. A program's GET and POST do, a browser's POST alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request

from bramble_protocol.messages import MAX_READINGS
from bramble_server.web import browsers, landing, query
from bramble_server.web.errors import RequestError
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_server.web import Services

BOTH = ["GET", "POST"]


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("starters", __name__)

    @part.before_request
    def only_on_purpose() -> Response | None:
        if request.method == "HEAD":
            raise RequestError(405, f"HEAD is not taken at {request.path}: it would start something", {"Allow": "GET, POST"})
        if browsers.fetches_ahead(request.headers):
            raise RequestError(403, "Sec-Purpose: a prefetch starts nothing")
        telltale = browsers.telltale(request.headers)
        if request.method != "GET" or telltale is None:
            return None
        if browsers.wants_page(request.headers):
            return landing.page(services)
        sentence = f"{telltale}: a browser's GET starts nothing; send a POST, or open this address for a page with buttons"
        raise RequestError(403, sentence)

    @part.after_request
    def for_people(response: Response) -> Response:
        person = response.is_json and response.status_code != 401 and browsers.wants_page(request.headers)
        return landing.told(services, response) if person else response

    @part.route("/", methods=BOTH)
    @needs("operate")
    @query.takes(task=query.text)
    def start() -> tuple[Response, int]:
        opened = services.coordinator.start_round(services.track(query.asked()["task"]).task)
        return jsonify(round=opened.round, clients=list(opened.clients)), 202

    @part.route("/stop", methods=BOTH)
    @needs("operate")
    @query.takes(task=query.text)
    def stop() -> Response:
        return jsonify(round=services.coordinator.stop_rounds(services.track(query.asked()["task"]).task))

    @part.route("/reset", methods=BOTH)
    @needs("admin")
    @query.takes(task=query.text)
    def reset() -> Response:
        task = query.asked()["task"]
        return jsonify(clients=services.coordinator.reset(None if task is None else services.track(task).task))

    @part.route("/generate", methods=BOTH)
    @needs("operate")
    @query.takes(count=query.integer(1, MAX_READINGS))
    def generate() -> tuple[Response, int]:
        count = query.asked()["count"] or landing.READINGS
        cycle, clients = services.coordinator.generate(count)
        return jsonify(cycle=cycle, clients=clients), 202

    return part
