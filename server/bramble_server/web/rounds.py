"""``/rounds`` and ``/rounds/<n>``: the rounds that were, and the ones that run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify

from bramble_server.store import rounds
from bramble_server.web import query, tabular
from bramble_server.web.errors import RequestError
from bramble_server.web.measures import tested

if TYPE_CHECKING:
    from bramble_server.web import Services

MOST = 1000
"""Rounds in one answer."""


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("rounds", __name__)

    @part.get("/rounds")
    @query.takes(
        since=query.integer(0, 2**53), limit=query.integer(1, MOST), order=query.ORDER, clients=query.switch, client=query.client_id,
        task=query.text, format=tabular.FORMAT,
    )  # fmt: skip
    def all_rounds() -> Response:
        asked = query.asked()
        task = services.track(asked["task"]).task
        oldest, client = asked["order"] == "oldest", asked["client"]
        clients = bool(asked["clients"]) or client is not None
        found = services.loop.offload(_history, services, task, asked["since"] or 0, asked["limit"] or 100, clients, oldest, client)
        shown = [_live(services, item, client) for item in found]
        if tabular.wanted():
            return services.loop.offload(tabular.answer, "parts" if clients else "rounds", shown)
        return jsonify(rounds=shown)

    @part.get("/rounds/<int:number>")
    def one_round(number: int) -> Response:
        found = services.loop.offload(_one, services, number) if number < 2**53 else None
        if found is None:
            raise RequestError(404, f"there is no round {number}")
        return jsonify(_live(services, found))

    return part


def _history(
    services: Services, task: str, since: int, limit: int, clients: bool, oldest: bool, client: str | None
) -> list[dict[str, Any]]:
    with services.store.reading() as connection:
        return rounds.history(connection, task, since, limit, clients, oldest, client)


def _one(services: Services, number: int) -> dict[str, Any] | None:
    with services.store.reading() as connection:
        return rounds.one(connection, number)


def _live(services: Services, item: dict[str, Any], client: str | None = None) -> dict[str, Any]:
    """Add what the store does not have: a running round is written at its end, and what was measured is stored as it was reported."""
    progress = services.coordinator.progress(item["round"]) if item["state"] == "running" else None
    if progress is not None:
        item["updates"] = sum(part["replied"] is not None for part in progress.values())
        if "clients" in item:
            item["clients"] = progress if client is None else {name: part for name, part in progress.items() if name == client}
    metrics = {track.task: track.graph.manifest.metric for track in services.tracks}
    metric = metrics.get(item["task"])  # None of a task that is not served now
    item["test"] = metric and tested(metric, item["metrics"])
    for part in item.get("clients", {}).values():
        part["test"] = metric and tested(metric, part)
    return item
