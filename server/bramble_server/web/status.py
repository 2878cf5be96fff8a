"""``/status``: what is served, and how far each task is; ``/whoami``: what the token that asks opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, g, jsonify

from bramble_protocol.scopes import SCOPES
from bramble_server.installed import release
from bramble_server.learning import codec, strategies
from bramble_server.learning.counting import unseen
from bramble_server.web import query
from bramble_server.web.measures import OF_KIND
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_protocol.kinds import Counts
    from bramble_server.foundation import Foundation
    from bramble_server.web import Services


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("status", __name__)
    shown: dict[str, dict[str, Any]] = {}
    """Manifests by their graph, without what is long: they are asked for all the time, and do not change."""

    @part.get("/status")
    @query.takes(task=query.text)
    def status() -> Response:
        track = services.track(query.asked()["task"])
        task, view = track.task, services.coordinator.view
        known = {name: (each.model.round, each.running, each.model.metrics, each.model.counts) for name, each in view.tasks.items()}
        mine, chosen = view.tasks[task], strategies.named(track.settings.strategy, track.settings.strategy_option)
        own = track.settings
        if track.graph.sha256 not in shown:
            told = track.graph.manifest.to_wire()
            shown[track.graph.sha256] = {name: value for name, value in told.items() if name != "layout"}
        back = codec.named(track.settings.codec, track.settings.codec_option)
        return jsonify(
            revision=view.revision,
            version=release(),
            task=task,
            graph=track.graph.sha256,
            forecast=track.forecast,
            mode=services.settings.mode,
            strategy={"name": chosen.name, "parameters": chosen.set},
            codec={"name": back.name, "parameters": back.set},
            discipline=track.settings.rounds_go_by,
            round=mine.model.round,
            champion=mine.champion and {name: getattr(mine.champion, name) for name in ("round", "pinned", "worse")},
            privacy=mine.spent if mine.spent is None else {"spent": mine.spent, "epsilon": own.epsilon, "delta": own.delta},
            running=mine.running,
            waiting_for=mine.waiting_for,
            clients=len(services.registry),
            able=services.registry.ready(task),
            min_clients=track.settings.min_clients,
            cycle=view.cycle,
            cycle_waiting_for=view.cycle_waiting_for,
            tasks=[_summary(services, each, *known[each.task]) for each in services.tracks if each.task in known],
            manifest=shown[track.graph.sha256],
        )

    @part.get("/whoami")
    @needs("metrics")
    def whoami() -> Response:
        visitor = g.get("visitor")
        return jsonify(name=visitor and visitor.name, opens=[name for name in SCOPES if visitor is None or name in visitor.opens])

    return part


def _summary(
    services: Services, track: Foundation, last: int, running: int | None, metrics: dict[str, float], counts: Counts
) -> dict[str, Any]:
    task = track.task
    return {
        "task": task,
        "graph": track.graph.sha256,
        "kind": track.graph.manifest.kind.name,
        "round": last,
        "running": running,
        "measures": {name: value for name, value in metrics.items() if name in OF_KIND},
        "unseen": unseen(track.graph.manifest, counts),
        "group": track.settings.group,
        "able": services.registry.ready(task),
        "in_use": services.registry.in_use(task),
    }
