"""``/evaluations`` and ``/evaluations/<n>``: clients try models without training, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify
from sqlalchemy import Connection

from bramble_protocol import kinds
from bramble_protocol.messages import MOST_MODELS
from bramble_server.learning import counting
from bramble_server.store import evaluations, models
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
        found = evaluations.history(connection, task, since, limit, oldest)
        return [_with_kept(connection, item) for item in found]


def _one(services: Services, number: int) -> dict[str, Any] | None:
    with services.store.reading() as connection:
        found = evaluations.one(connection, number)
        return found and _with_kept(connection, found)


def _with_kept(connection: Connection, item: dict[str, Any]) -> dict[str, Any]:
    """Add what is kept with each model of what rounds counted, where clients counted anything."""
    there = any(one["counts"] for one in item["clients"].values())
    item["kept"] = {number: models.memory(connection, number).counts for number in item["models"]} if there else {}
    return item


def _shown(services: Services, item: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation as people read it: errors as the task's metric, each client's and over all of them."""
    manifest = next((track.graph.manifest for track in services.tracks if track.task == item["task"]), None)
    metric, kept = None if manifest is None else manifest.metric, item.pop("kept")
    counted = [one.pop("counts") or {} for one in item["clients"].values()]
    item["state"] = "running" if item["ended"] is None else "ended"
    item["metric"] = metric and {"name": metric.name, "unit": metric.unit}
    item["pooled"] = {}
    if manifest is None or metric is None:  # of a task that is not served now nobody knows how its errors are read
        item["clients"] = {name: {**found, "baseline": None, "errors": None} for name, found in item["clients"].items()}
        return item
    found = {name: one for name, one in item["clients"].items() if one["samples"]}
    for number in map(str, item["models"]):
        item["pooled"][number] = pooled(metric, [Part(one["samples"], one["errors"][number], one["baseline"]) for one in found.values()])
        if item["pooled"][number] and (counts := kinds.pooled(*(each[number] for each in counted if number in each))):
            above = counting.threshold(manifest, kept.get(int(number)) or counts)
            item["pooled"][number] |= counting.measures(manifest, counts, above)
    for one in found.values():
        one["baseline"] = metric.read(one["baseline"])
        one["errors"] = {number: metric.read(error) for number, error in one["errors"].items()}
    return item
