"""``/openapi.json``: the endpoints for programs that read such a description.

What can be asked is read from the code: paths, methods, parameters with their ranges, scopes. What is answered stands in ``ANSWERS``, and a
test asks a running server whether it is so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Blueprint, Flask, Response, current_app, jsonify
from werkzeug.routing import Rule

from bramble_server.installed import release
from bramble_server.web import guards, query, tabular
from bramble_server.web.scopes import scope_of

if TYPE_CHECKING:
    from bramble_server.web import Services

Schema = dict[str, Any]
_JSON, _RAW, _NPZ, _TEXT = "application/json", "application/octet-stream", "application/x-npz", "text/plain"
_INTEGER: Schema = {"type": "integer"}
_STRING: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
_FLAG: Schema = {"type": "boolean"}
_STRINGS: Schema = {"type": "array", "items": _STRING}


def _maybe(kind: str) -> Schema:
    return {"type": [kind, "null"]}


def _object(**properties: Schema) -> Schema:
    """All of these, and maybe more: a later release may add to an answer."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_MEASURED: Schema = {
    "type": ["object", "null"],
    "description": "The task's metric, its root taken, in its unit; null where nothing was measured yet.",
    "required": ["metric", "unit", "error", "baseline", "samples"],
}
_SECONDS: Schema = {"type": ["number", "null"], "description": "Seconds since 1970-01-01 UTC."}
_ENDED: dict[str, Schema] = dict(
    round=_INTEGER, task=_STRING, state={"enum": ["running", "committed", "abandoned"]}, started=_SECONDS, ended=_SECONDS,
    selected=_INTEGER, updates=_INTEGER, metrics=_OBJECT, reason=_maybe("string"), strategy=_maybe("object"),
    codec=_maybe("object"), discipline=_maybe("object"), selection=_maybe("object"), seed=_maybe("integer"), rollback_of=_maybe("integer"),
)  # fmt: skip
_ROUND = _object(**_ENDED, test=_MEASURED)
_KEPT = _object(**_ENDED, held_out=_MEASURED, champion=_FLAG, pinned=_FLAG, worse=_maybe("integer"))
_EVALUATION = _object(
    evaluation=_INTEGER, task=_STRING, models=_list(_INTEGER), state={"enum": ["running", "ended"]}, started=_SECONDS, until=_SECONDS,
    ended=_SECONDS, metric=_maybe("object"), clients=_OBJECT, pooled=_OBJECT,
)  # fmt: skip
_MODEL = _object(round=_INTEGER, task=_STRING, graph=_STRING, layout=_list(_OBJECT), weights=_OBJECT, metrics=_OBJECT, test=_MEASURED)
_COLUMN = _object(unit=_STRING, t=_list({"type": "number"}), value=_list(_maybe("number")))
_CYCLE = _object(cycle=_INTEGER, clients=_INTEGER)
_NUMBER_OR_NONE = _object(round=_maybe("integer"))


class Answer(NamedTuple):
    """What an operation does, and what it answers when it does."""

    summary: str
    schema: Schema | None = None
    """Of the JSON, where it is that."""
    status: int = 200
    kinds: tuple[str, ...] = (_JSON,)


_START = Answer("Start a round.", _object(round=_INTEGER, clients=_STRINGS), 202)
_STOP = Answer("End the open asynchronous round with what has come; none follows.", _NUMBER_OR_NONE)
_RESET = Answer(
    "Forget what was learnt and return to the initial model: of all tasks, and readings too, or of one.", _object(clients=_INTEGER)
)
_GENERATE = Answer("Have every client take readings (evaluation mode).", _CYCLE, 202)
_WEIGHTS = (_JSON, _RAW, _NPZ)
ANSWERS: dict[tuple[str, str], Answer] = {
    ("GET", "/"): _START,
    ("POST", "/"): _START,
    ("GET", "/stop"): _STOP,
    ("POST", "/stop"): _STOP,
    ("GET", "/reset"): _RESET,
    ("POST", "/reset"): _RESET,
    ("GET", "/generate"): _GENERATE,
    ("POST", "/generate"): _GENERATE,
    ("GET", "/status"): Answer(
        "What is served, and how far each task is.",
        _object(revision=_INTEGER, version=_STRING, task=_STRING, mode={"enum": ["evaluation", "private"]}, round=_INTEGER,
                running=_maybe("integer"), waiting_for=_STRINGS, clients=_INTEGER, able=_INTEGER, min_clients=_INTEGER, manifest=_OBJECT,
                strategy=_OBJECT, codec=_OBJECT, discipline=_OBJECT, champion=_maybe("object"), cycle=_INTEGER, tasks=_list(_OBJECT)),
    ),
    ("GET", "/audit"): Answer(
        "Who changed what, the newest first.",
        _object(
            changes=_list(_object(n=_INTEGER, at=_STRING, who=_maybe("string"), what=_STRING, status=_INTEGER)), broken=_maybe("string")
        ),
    ),
    ("GET", "/whoami"): Answer("Whose token it is, and what it opens.", _OBJECT),
    ("GET", "/clients"): Answer(
        "Who has ever been seen; with limit, so many of them in short, searched and sorted.",
        {"anyOf": [
            _object(clients=_OBJECT, never_seen=_STRINGS, refused=_OBJECT),
            _object(rows=_list(_OBJECT), found=_INTEGER, total=_INTEGER, connected=_INTEGER, attention=_INTEGER, kinds=_OBJECT),
        ]},
    ),
    ("GET", "/clients/<name>"): Answer("One client.", _object(id=_STRING, connected=_FLAG, wrong=_list(_OBJECT))),
    ("GET", "/clients/<name>/history"): Answer(
        "What happened to a client.", _object(since=_maybe("number"), events=_list(_OBJECT), health=_maybe("object"), came=_OBJECT)
    ),
    ("DELETE", "/clients/<name>"): Answer("Forget a client that is gone.", _object(forgotten=_STRING)),
    ("POST", "/clients/<name>/release"): Answer("Ask a client again that is in quarantine.", _object(released=_STRING, task=_STRING)),
    ("GET", "/rounds"): Answer("The rounds that were, and the one that runs, ascending.", _object(rounds=_list(_ROUND))),
    ("GET", "/rounds/<int:number>"): Answer("One round, with each client's part.", _ROUND),
    ("GET", "/evaluations"): Answer("The evaluations that were, ascending.", _object(evaluations=_list(_EVALUATION))),
    ("POST", "/evaluations"): Answer(
        "Have clients try models without training.",
        _object(evaluation=_INTEGER, task=_STRING, models=_list(_INTEGER), until=_SECONDS, clients=_STRINGS, not_asked=_OBJECT), 202,
    ),
    ("GET", "/evaluations/<int:number>"): Answer("One evaluation.", _EVALUATION),
    ("GET", "/model"): Answer("The global model.", _MODEL, kinds=_WEIGHTS),
    ("GET", "/models"): Answer("The rounds whose models are kept, ascending.", _object(models=_list(_KEPT))),
    ("GET", "/models/<int:number>"): Answer("The model of a round.", _MODEL, kinds=_WEIGHTS),
    ("POST", "/model/rollback"): Answer("Commit the model of an older round anew.", _object(round=_INTEGER, rollback_of=_INTEGER)),
    ("POST", "/model/pin"): Answer("Make the model of a round the champion.", _object(pinned=_INTEGER)),
    ("POST", "/model/unpin"): Answer("Let the best model be the champion again.", _object(unpinned=_maybe("integer"))),
    ("GET", "/model/clients"): Answer("Each client's latest update.", {"type": "object", "additionalProperties": _OBJECT}),
    ("GET", "/graphs/<digest>.tflite"): Answer("A task's graph file.", kinds=(_RAW,)),
    ("GET", "/graphs/<digest>.sig"): Answer("The signatures of a graph file.", kinds=(_TEXT,)),
    ("GET", "/data/all"): Answer(
        "Mirrored readings (evaluation mode).",
        _object(clients={"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _COLUMN}}),
    ),
    ("GET", "/tasks"): Answer("What is learnt here.", _object(tasks=_list(_OBJECT))),
    ("POST", "/tasks"): Answer("Learn another task, too.", _object(task=_STRING, graph=_STRING, round=_INTEGER, able=_INTEGER), 201),
    ("DELETE", "/tasks/<name>"): Answer("Learn a deployed task no longer.", _object(retired=_STRING)),
    ("GET", "/healthz"): Answer("Whether the server lives.", _object(ok=_FLAG)),
    ("GET", "/readyz"): Answer("Whether its database can be used.", _object(ready=_FLAG)),
    ("GET", "/metrics"): Answer("Metrics for Prometheus.", kinds=(_TEXT,)),
    ("GET", "/openapi.json"): Answer("This description.", _object(openapi=_STRING, paths=_OBJECT)),
}  # fmt: skip
"""By method and by path as the routes write it."""
UNTOLD = Answer("Nothing is told of its answer yet.")
"""Of a route that is missing above, which a test finds."""
_REFUSED = {"description": "It is refused, or failed; the sentence says why.", "content": {_JSON: {"schema": _object(error=_STRING)}}}


def blueprint(services: Services) -> Blueprint:
    """Return the endpoint."""
    part = Blueprint("openapi", __name__)

    @part.get("/openapi.json")
    def description() -> Response:
        return jsonify(described(current_app._get_current_object()))  # type: ignore[attr-defined]

    return part


def operations(app: Flask) -> Iterator[tuple[str, Rule]]:
    """Yield method and route of all that can be asked."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule


@lru_cache(1)
def described(app: Flask) -> Schema:
    """Return an application's endpoints as OpenAPI 3.1 has them."""
    paths: dict[str, dict[str, Schema]] = {}
    for method, rule in operations(app):
        paths.setdefault(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), {})[method.lower()] = _operation(app, method, rule)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bramble server",
            "version": release(),
            "description": "Times are seconds since 1970-01-01 UTC. Errors are one sentence. A browser's GET starts nothing.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(app: Flask, method: str, rule: Rule) -> Schema:
    view, answer = app.view_functions[rule.endpoint], ANSWERS.get((method, rule.rule), UNTOLD)
    readers = getattr(view, "takes", None) or {}
    kinds = (*answer.kinds, *([tabular.CSV] if "format" in readers else []))
    content = {kind: {"schema": answer.schema} if kind == _JSON and answer.schema else {} for kind in kinds}
    scope = scope_of(view, method)
    parameters = [
        *({"name": name, "in": "path", "required": True, "schema": _of_path(rule, name)} for name in sorted(rule.arguments)),
        *({"name": name, "in": "query", "schema": query.schema(reader)} for name, reader in readers.items()),
    ]
    told: Schema = {
        "operationId": f"{method.lower()}_{rule.endpoint.replace('.', '_')}",
        "summary": answer.summary,
        "responses": {str(answer.status): {"description": answer.summary, "content": content}, "default": _REFUSED},
    }
    if parameters:
        told["parameters"] = parameters
    if getattr(view, "largest_body", None):
        told["requestBody"] = {"required": True, "content": {_RAW: {}}}
    if rule.rule not in guards.OPEN_PATHS:
        told |= {"security": [{}, {"token": []}], "description": f"With tokens on it takes the scope {scope}."}
    return told


def _of_path(rule: Rule, name: str) -> Schema:
    return {"type": "integer", "minimum": 0} if f"<int:{name}>" in rule.rule else {"type": "string", "minLength": 1}
