"""``/tasks``: what is learnt here, and tasks that come and go while the server runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Response, jsonify, request

from bramble_protocol import codecs, groups, released, signatures
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import LARGEST, GraphFile
from bramble_protocol.printable import printable
from bramble_server import deployed, foundation
from bramble_server.deployed import Deployed
from bramble_server.fleet.plausibility import Needs
from bramble_server.foundation import Foundation
from bramble_server.learning import strategies
from bramble_server.rounds.view import Progress
from bramble_server.web import query
from bramble_server.web.errors import RequestError
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_server.web import Services

View = TypeVar("View", bound=Callable[..., Any])

MOST = 16
"""Tasks at once: a client remembers something of so many."""

COPIES = 10
"""Copies of the weights that a step holds at least: weights given and returned, anchor, correction, slots, gradient, some twice."""


def reads_body(most: int) -> Callable[[View], View]:
    """Mark a view that reads a body of at most so many bytes; it goes below the route's own decorator."""

    def mark(view: View) -> View:
        view.__dict__["largest_body"] = most
        return view

    return mark


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("tasks", __name__)

    @part.get("/tasks")
    def listed() -> Response:
        view = services.coordinator.view
        return jsonify(tasks=[_told(services, track, view.tasks[track.task]) for track in services.tracks if track.task in view.tasks])

    @part.post("/tasks")
    @needs("admin")
    @reads_body(LARGEST)
    @query.takes(signatures=query.text, settings=query.text)
    def deploy() -> tuple[Response, int]:
        asked = query.asked()
        chosen = tuple(filter(None, (asked["settings"] or "").split(",")))
        built = services.loop.offload(_checked, services, request.get_data(cache=False), asked["signatures"] or "", chosen)
        task = Deployed(built.graph, built.signatures, chosen)
        number = services.coordinator.deploy(built, partial(deployed.keep, services.settings.data_dir, task))
        return jsonify(task=built.task, graph=built.graph.sha256, round=number, able=services.registry.ready(built.task)), 201

    @part.delete("/tasks/<name>")
    @needs("admin")
    def retire(name: str) -> Response:
        task = services.track(name).task
        services.coordinator.retire(task, partial(deployed.forget, services.settings.data_dir, task))
        return jsonify(retired=task)

    return part


def _told(services: Services, track: Foundation, progress: Progress) -> dict[str, Any]:
    manifest = track.graph.manifest.to_wire()
    return {
        "task": track.task,
        **{name: manifest[name] for name in ("description", "channels", "window", "step_s", "horizon", "target", "metric")},
        "weights": track.graph.manifest.layout.size,
        "graph": track.graph.sha256,
        "signed": bool(track.signatures),
        "deployed": track.deployed,
        "round": progress.model.round,
        "running": progress.running,
        "able": services.registry.ready(track.task),
    }


def _checked(services: Services, data: bytes, signed: str, chosen: tuple[str, ...]) -> Foundation:
    """Read what is to be deployed, and refuse what could not be learnt here: nothing is changed before, here or on any client.

    Raises
    ------
    RequestError
        Naming what is wrong and what to do.
    """
    try:
        graph = GraphFile.read(data)
        signatures.read_signatures(signed.replace(",", "\n"), "signatures")
        lines = "".join(f"{line.strip()}\n" for line in signed.split(",") if line.strip())
        built = foundation.of(services.settings, Deployed(graph, lines.encode("ascii"), chosen))
        own = built.settings
        strategies.named(own.strategy, own.strategy_option).check(graph.manifest)
    except (BrambleError, UnicodeEncodeError) as error:
        raise RequestError(400, str(error)) from error
    there = {track.task: track for track in services.tracks}
    if len(there) >= MOST:
        raise RequestError(409, f"task: {len(there)} are learnt here, and {MOST} are the most; retire one first")
    _not_there(built, there)
    _fits(services, built)
    _somebody_can(services, built)
    if services.settings.mode == "private" and not built.signatures and graph.fingerprint not in released.fingerprints():
        raise RequestError(
            409,
            f"task: {built.task} is not signed, and clients in private mode run no such graph; sign it with bramble task sign, or with "
            "bramble task deploy --key",
        )
    return built


def _not_there(built: Foundation, there: dict[str, Foundation]) -> None:
    for task, track in there.items():
        if track.graph.sha256 == built.graph.sha256:
            raise RequestError(409, f"task: {task} is this very graph, {track.graph.sha256[:12]}: it is served here already")
    if built.task in there:
        how = "retire it first" if there[built.task].deployed else "it is one of the server's settings"
        raise RequestError(409, f"task: {built.task} is the name of another graph here ({how}); give yours another name")


def _fits(services: Services, built: Foundation) -> None:
    """Refuse a model whose messages are larger than this server, as it was started, takes."""
    layout = built.graph.manifest.layout
    bytes_, text = 2 * codecs.encoded_size(layout, "float32"), 2 * len(json.dumps(layout.to_wire()))
    if bytes_ > services.largest or text > services.text:
        raise RequestError(
            413,
            f"task: {built.task} has {layout.size} weights in {len(layout.tensors)} tensors, more than this server was started for; "
            "take a smaller model, or give its file with --task and start the server anew",
        )


def _somebody_can(services: Services, built: Foundation) -> None:
    able, wanted = services.registry.who_fit(built.needs), built.needs.groups
    if wanted and not services.registry.who_fit(Needs(groups=wanted)):
        raise RequestError(
            409,
            f"task: {built.task} is for {groups.told(wanted)}, and no client that was ever here belongs to it; start clients with --group, "
            "or leave the group out of its settings",
        )
    if able:
        _has_room(services, built, able)
        return
    alone = [channel for channel in built.needs.channels if not services.registry.who_fit(Needs((channel,)))]
    what = ", ".join(f"{channel.key} in {channel.unit}" for channel in alone or built.needs.channels)
    whose = "no client of its group" if wanted and not alone else "no client that was ever here"
    nobody = f"{whose} measures" if alone else f"{whose} measures together all of"
    raise RequestError(
        409,
        printable(f"task: {built.task} cannot be learnt: {nobody} {what}; give a client such a sensor, or the task other channels", None),
    )


def _has_room(services: Services, built: Foundation, able: list[str]) -> None:
    """Refuse a graph that takes more memory than any client that could train it has said to have free."""
    least = len(built.graph.data) + COPIES * codecs.encoded_size(built.graph.manifest.layout, "float32")
    reports = services.registry.health()
    free = [megabytes for name in able if (megabytes := reports.get(name, {}).get("memory_free")) is not None]
    if free and least > max(free) * 2**20:
        raise RequestError(
            409,
            f"task: {built.task} takes {least / 2**20:.0f} MB at least to train, and no client with its channels has more than "
            f"{max(free):.0f} free; take a smaller model",
        )
