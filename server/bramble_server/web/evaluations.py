"""``/evaluations`` and ``/evaluations/<n>``: clients try models without training, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify

from bramble_protocol.messages import MOST_MODELS
from bramble_server.store import evaluations
from bramble_server.web import query, tabular
from bramble_server.web.errors import RequestError
from bramble_server.web.measures import Part, pooled
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_server.web import Services

MOST = 1000
"""Evaluations in one answer."""


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("evaluations", __name__)

    @part.post("/evaluations")
    @needs("operate")
    @query.takes(models=query.integers(0, 2**53, MOST_MODELS), task=query.text)
    def start() -> tuple[Response, int]:
        asked = query.asked()
        one, passed = services.coordinator.evaluations.start(services.track(asked["task"]).task, asked["models"] or ())
        told = {"evaluation": one.number, "task": one.task, "models": list(one.models), "until": one.until}
        return jsonify(**told, clients=sorted(one.pending), not_asked=passed), 202

    @part.get("/evaluations")
    @query.takes(since=query.integer(0, 2**53), limit=query.integer(1, MOST), order=query.ORDER, task=query.text, format=tabular.FORMAT)
    def all_of_them() -> Response:
        asked = query.asked()
        task = services.track(asked["task"]).task
        oldest = asked["order"] == "oldest"
        found = services.loop.offload(_history, services, task, asked["since"] or 0, asked["limit"] or 100, oldest)
        shown = [_shown(services, item) for item in found]
        return services.loop.offload(tabular.answer, "evaluations", shown) if tabular.wanted() else jsonify(evaluations=shown)

    @part.get("/evaluations/<int:number>")
    def one_of_them(number: int) -> Response:
        found = services.loop.offload(_one, services, number) if number < 2**53 else None
        if found is None:
            raise RequestError(404, f"there is no evaluation {number}")
        return jsonify(_shown(services, found))

    return part


def _history(services: Services, task: str, since: int, limit: int, oldest: bool) -> list[dict[str, Any]]:
    with services.store.reading() as connection:
        return evaluations.history(connection, task, since, limit, oldest)


def _one(services: Services, number: int) -> dict[str, Any] | None:
    with services.store.reading() as connection:
        return evaluations.one(connection, number)


def _shown(services: Services, item: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation as people read it: errors as the task's metric, each client's and over all of them."""
    metric = next((track.graph.manifest.metric for track in services.tracks if track.task == item["task"]), None)
    item["state"] = "running" if item["ended"] is None else "ended"
    item["metric"] = metric and {"name": metric.name, "unit": metric.unit}
    item["pooled"] = {}
    if metric is None:  # of a task that is not served now nobody knows how its errors are read
        item["clients"] = {name: {**found, "baseline": None, "errors": None} for name, found in item["clients"].items()}
        return item
    found = {name: one for name, one in item["clients"].items() if one["samples"]}
    for number in map(str, item["models"]):
        item["pooled"][number] = pooled(metric, [Part(one["samples"], one["errors"][number], one["baseline"]) for one in found.values()])
    for one in found.values():
        one["baseline"] = metric.read(one["baseline"])
        one["errors"] = {number: metric.read(error) for number, error in one["errors"].items()}
    return item
