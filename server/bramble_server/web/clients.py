"""``/clients``: who there is, and forgetting who is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from bramble_protocol.printable import printable
from bramble_server.fleet.attention import KINDS
from bramble_server.web import query, tabular
from bramble_server.web.errors import RequestError
from bramble_server.web.roll import MOST, SORTS, Roll
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_server.web import Services


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part, roll = Blueprint("clients", __name__), Roll(services)

    @part.get("/clients")
    @query.takes(
        task=query.text, format=tabular.FORMAT, limit=query.integer(0, MOST), offset=query.integer(0, 2**31), search=query.text,
        sort=query.word(*SORTS, *(f"-{by}" for by in SORTS)), attention=query.word("any", *KINDS), group=query.text,
    )  # fmt: skip
    def clients() -> Response:
        asked = query.asked()
        task = services.track(asked["task"]).task
        if asked["limit"] is not None and not tabular.wanted():
            return jsonify(roll.page(task, asked))
        given = [name for name in ("offset", "search", "sort", "attention", "group") if asked[name] is not None]
        if given:
            raise RequestError(400, f"{given[0]}: goes with limit alone, which says how many clients are wanted")
        found = services.registry.to_json(services.coordinator.view.tasks[task].waiting_for, task)
        if services.settings.mode == "private":  # counts alone, in /status
            for client in found.values():
                (client["health"] or {}).pop("in_use", None)
        if tabular.wanted():
            return tabular.answer("clients", found)
        wrong = roll.wrong(task)
        for name, client in found.items():
            client["wrong"] = [complaint.to_json() for complaint in wrong.get(name, ())]
        return jsonify(
            clients=found, never_seen=services.never_seen(), refused=services.registry.refused.to_json(services.registry.clock.time())
        )

    @part.get("/clients/<name>")
    @query.takes(task=query.text)
    def one(name: str) -> Response:
        task = services.track(query.asked()["task"]).task
        found = services.registry.to_json(services.coordinator.view.tasks[task].waiting_for, task, {name}).get(name)
        if found is None:
            raise RequestError(404, f"there is no client {printable(name)[:63]}")
        if services.settings.mode == "private":
            (found["health"] or {}).pop("in_use", None)
        return jsonify({**found, "id": name, "wrong": [complaint.to_json() for complaint in roll.wrong(task).get(name, ())]})

    @part.get("/clients/<name>/history")
    def history(name: str) -> Response:
        if services.registry.get(name) is None:
            raise RequestError(404, f"there is no client {printable(name)[:63]}")
        told = services.registry.chronicle.to_json(name)
        if services.settings.mode == "private":
            told["events"] = [event for event in told["events"] if event["kind"] != "in use"]
        return jsonify(told)

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

    @part.post("/clients/<name>/release")
    @needs("admin")
    @query.takes(task=query.text)
    def release(name: str) -> Response:
        task = services.coordinator.release(name, services.track(query.asked()["task"]).task)
        return jsonify(released=name, task=task)

    return part
