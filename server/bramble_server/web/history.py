"""``/status``, ``/clients``, ``/rounds`` and ``/rounds/<n>``: what is and what was."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify

from bramble_protocol.printable import printable
from bramble_server.learning import strategies
from bramble_server.store import rounds
from bramble_server.web import query
from bramble_server.web.errors import RequestError
from bramble_server.web.measures import tested
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_server.foundation import Foundation
    from bramble_server.web import Room

MOST = 1000
"""Rounds in one answer."""


def blueprint(room: Room) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("history", __name__)
    manifests = [track.graph.manifest.to_wire() for track in room.tracks]
    shown = {each["task"]: {name: value for name, value in each.items() if name != "layout"} for each in manifests}

    @part.get("/status")
    def status() -> Response:
        track = room.track(query.read(task=query.text)["task"])
        task, view = track.task, room.coordinator.view
        known = {name: (each.model.round, each.running) for name, each in view.tasks.items()}
        mine, chosen = view.tasks[task], strategies.choose(track.settings.strategy, track.settings.strategy_option)
        return jsonify(
            revision=view.revision,
            version=release(),
            task=task,
            graph=track.graph.sha256,
            mode=room.settings.mode,
            strategy={"name": chosen.name, "parameters": chosen.set},
            round=mine.model.round,
            running=mine.running,
            waiting_for=mine.waiting_for,
            clients=len(room.registry),
            able=room.registry.ready(task),
            min_clients=track.settings.min_clients,
            cycle=view.cycle,
            cycle_waiting_for=view.cycle_waiting_for,
            tasks=[_summary(room, each, *known[each.task]) for each in room.tracks],
            manifest=shown[task],
        )

    @part.get("/clients")
    def clients() -> Response:
        task = room.track(query.read(task=query.text)["task"]).task
        found = room.registry.to_json(room.coordinator.view.tasks[task].waiting_for, task)
        return jsonify(clients=found, never_seen=room.never_seen(), refused=room.registry.refused.to_json(room.registry.clock.time()))

    @part.delete("/clients/<name>")
    @needs("admin")
    def forget(name: str) -> Response:
        query.read()
        known = room.registry.get(name)
        if known is None:
            raise RequestError(404, f"there is no client {printable(name)[:63]}")
        if not room.registry.forget(name):
            raise RequestError(409, f"{name} is connected; end it first, or take its token away")
        room.coordinator.listed()
        return jsonify(forgotten=name)

    @part.get("/rounds")
    def all_rounds() -> Response:
        asked = query.read(since=query.integer(0, 2**53), limit=query.integer(1, MOST), clients=query.switch, task=query.text)
        task = room.track(asked["task"]).task
        found = room.loop.offload(_history, room, task, asked["since"] or 0, asked["limit"] or 100, bool(asked["clients"]))
        return jsonify(rounds=[_live(room, item) for item in found])

    @part.get("/rounds/<int:number>")
    def one_round(number: int) -> Response:
        query.read()
        found = room.loop.offload(_one, room, number) if number < 2**53 else None
        if found is None:
            raise RequestError(404, f"there is no round {number}")
        return jsonify(_live(room, found))

    return part


def _summary(room: Room, track: Foundation, last: int, running: int | None) -> dict[str, Any]:
    task = track.task
    return {
        "task": task,
        "graph": track.graph.sha256,
        "round": last,
        "running": running,
        "able": room.registry.ready(task),
    }


def _history(room: Room, task: str, since: int, limit: int, clients: bool) -> list[dict[str, Any]]:
    with room.store.reading() as connection:
        return rounds.history(connection, task, since, limit, clients)


def _one(room: Room, number: int) -> dict[str, Any] | None:
    with room.store.reading() as connection:
        return rounds.one(connection, number)


def _live(room: Room, item: dict[str, Any]) -> dict[str, Any]:
    """Add what the store does not have: a running round is written at its end, and what was measured is stored as it was reported."""
    progress = room.coordinator.progress(item["round"]) if item["state"] == "running" else None
    if progress is not None:
        item["updates"] = sum(part["replied"] is not None for part in progress.values())
        if "clients" in item:
            item["clients"] = progress
    metrics = {track.task: track.graph.manifest.metric for track in room.tracks}
    metric = metrics.get(item["task"])  # None of a task that is not served now
    item["test"] = metric and tested(metric, item["metrics"])
    for part in item.get("clients", {}).values():
        part["test"] = metric and tested(metric, part)
    return item


@lru_cache
def release() -> str:
    """Return the version of what is installed."""
    try:
        return version("bramble-fl")
    except PackageNotFoundError:
        return "unknown"
