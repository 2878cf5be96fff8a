"""``/model``, ``/model/clients``, ``/graphs/<sha256>.tflite`` and ``.sig``: weights, out in the form that is asked for."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from flask import Blueprint, Response, jsonify, request

from bramble_protocol import codecs
from bramble_server.foundation import Foundation
from bramble_server.rounds.view import Model
from bramble_server.store import models, rounds, standings
from bramble_server.store.standings import Standing
from bramble_server.web import json_stream, query, tabular
from bramble_server.web.errors import RequestError
from bramble_server.web.measures import tested
from bramble_server.web.scopes import needs

if TYPE_CHECKING:
    from bramble_server.web import Services

JSON, RAW, NPZ = "application/json", "application/octet-stream", "application/x-npz"


def blueprint(services: Services) -> Blueprint:
    """Return the endpoints."""
    part = Blueprint("model", __name__)

    def served() -> dict[str, Foundation]:
        return {track.graph.sha256: track for track in services.tracks}

    @part.get("/model")
    @query.takes(task=query.text)
    def model() -> Response:
        track = services.track(query.asked()["task"])
        current = services.coordinator.view.tasks[track.task].model
        kind = request.accept_mimetypes.best_match([JSON, RAW, NPZ], JSON)
        tag = f"{track.graph.sha256[:12]}-{current.round}-{kind.rpartition('/')[2]}"
        known = request.if_none_match.contains(tag)
        body = b"" if known else services.loop.offload(_render, track, current, kind)
        response = Response(body, 304 if known else 200, mimetype=kind)
        response.set_etag(tag)
        response.headers.update({"Vary": "Accept", "Cache-Control": "no-cache"})
        return response

    @part.get("/models")
    @query.takes(task=query.text, format=tabular.FORMAT)
    def kept() -> Response:
        track = services.track(query.asked()["task"])
        found = services.loop.offload(_kept, services, track)
        return tabular.answer("models", found) if tabular.wanted() else jsonify(models=found)

    @part.get("/models/<int:number>")
    @query.takes(task=query.text)
    def one(number: int) -> Response:
        track = services.track(query.asked()["task"])
        kind = request.accept_mimetypes.best_match([JSON, RAW, NPZ], JSON)
        with services.store.reading() as connection:
            weights = models.get(connection, track.task, number) if number < 2**53 else None
            record = rounds.one(connection, number, clients=False) if weights is not None else None
        if weights is None:
            raise RequestError(404, f"the model of round {number} is not kept; /models lists those that are")
        found = Model(number, weights, (record or {}).get("metrics", {}))
        return Response(services.loop.offload(_render, track, found, kind), mimetype=kind)

    @part.post("/model/rollback")
    @needs("admin")
    @query.takes(round=query.integer(1, 2**53), task=query.text)
    def rollback() -> Response:
        asked = query.asked()
        number, track = asked["round"], services.track(asked["task"])
        if number is None:
            raise RequestError(400, "round: say which, as in /model/rollback?round=7; /models lists those that are kept")
        return jsonify(round=services.coordinator.rollback(number, track.task), rollback_of=number)

    @part.post("/model/pin")
    @needs("admin")
    @query.takes(round=query.integer(1, 2**53), task=query.text)
    def pin() -> Response:
        asked = query.asked()
        number, track = asked["round"], services.track(asked["task"])
        if number is None:
            raise RequestError(400, "round: say which, as in /model/pin?round=7; /models lists those that are kept")
        return jsonify(pinned=services.coordinator.pin(number, track.task))

    @part.post("/model/unpin")
    @needs("admin")
    @query.takes(task=query.text)
    def unpin() -> Response:
        return jsonify(unpinned=services.coordinator.pin(None, services.track(query.asked()["task"]).task))

    @part.get("/model/clients")
    @query.takes(weights=query.switch, task=query.text)
    def model_clients() -> Response:
        asked = query.asked()
        track = services.track(asked["task"])
        return Response(services.loop.offload(_render_clients, services, track, asked["weights"] is not False), mimetype=JSON)

    @part.get("/graphs/<digest>.tflite")
    def graph(digest: str) -> Response:
        if digest not in (there := served()):
            raise RequestError(404, f"graph: this server has only {', '.join(there)}")
        response = Response(there[digest].graph.data, mimetype=RAW)
        response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        return response

    @part.get("/graphs/<digest>.sig")
    def signatures(digest: str) -> Response:
        if digest not in (there := served()) or not there[digest].signatures:
            raise RequestError(404, f"graph: there is no signature of {digest[:64]} here")
        return Response(there[digest].signatures, mimetype="text/plain")

    return part


def _kept(services: Services, track: Foundation) -> list[dict[str, Any]]:
    """Return the rounds whose models are kept, each with what was found of its model, which the round after it tests."""
    found = []
    with services.store.reading() as connection:
        known = standings.of(connection, track.task)
        for number in models.kept(connection, track.task):
            record = rounds.one(connection, number, clients=False)
            if record is not None:
                own = known.get(number, Standing(number))
                measures = {"test_error": own.error, "test_baseline": own.baseline, "test_samples": own.samples}
                held_out = tested(track.graph.manifest.metric, measures)
                found.append({**record, "held_out": held_out, "champion": own.champion, "pinned": own.pinned, "worse": own.worse})
    return found


def _render(track: Foundation, model: Model, kind: str) -> bytes:
    graph = track.graph
    if kind == RAW:
        return codecs.encode(model.weights, graph.manifest.layout, "float32")
    if kind == NPZ:
        file = io.BytesIO()
        layout = graph.manifest.layout
        names = [tensor.name for tensor in layout.tensors]
        np.savez(file, **dict(zip(names, layout.split(model.weights), strict=True)))  # type: ignore[arg-type]
        return file.getvalue()
    return json_stream.rendered(json_stream.members(_model(track, model)))


def _model(track: Foundation, model: Model) -> Iterator[tuple[str, Iterable[str]]]:
    graph = track.graph
    yield "round", [json.dumps(model.round)]
    yield "task", [json.dumps(track.task)]
    yield "graph", [json.dumps(graph.sha256)]
    yield "layout", [json.dumps(graph.manifest.layout.to_wire())]
    yield "weights", json_stream.weights(graph.manifest.layout, model.weights)
    yield "metrics", [json.dumps(model.metrics)]
    yield "counts", [json.dumps(model.counts)]
    yield "test", [json.dumps(tested(graph.manifest.metric, model.metrics))]


def _render_clients(services: Services, track: Foundation, weights: bool) -> bytes:
    return json_stream.rendered(json_stream.members(_clients(services, track, weights)))


def _clients(services: Services, track: Foundation, weights: bool) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield one client at a time: the arrays of a whole fleet are never in memory together."""
    graph, layout = track.graph, track.graph.manifest.layout
    with ExitStack() as stack:
        connection = stack.enter_context(services.store.reading())
        wanted = weights and services.settings.mode == "evaluation"
        files = stack.enter_context(services.archive.reading(lambda: set(models.rounds_of_updates(connection).values()) if wanted else ()))
        for latest in models.latest_updates_of_all(connection, track.task, weights):
            shown: dict[str, Iterable[str]] = {
                name: [json.dumps(value)] for name, value in vars(latest).items() if name not in ("task", "client", "weights")
            }
            known = services.registry.get(latest.client)
            shown["not_asked"] = [json.dumps(None if known is None else known.not_asked.get(track.task))]
            shown["test"] = [json.dumps(tested(graph.manifest.metric, latest.metrics))]
            found = files.weights(latest, layout.size) if latest.weights is None else latest.weights
            if found is not None:
                shown["weights"] = json_stream.weights(layout, found)
            yield latest.client, json_stream.members(shown.items())
