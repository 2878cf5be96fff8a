"""``/openapi.json`` says what can be asked and what is answered, and a running server does so."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from bramble_server.web.openapi import ANSWERS, UNTOLD
from tests.server.pi import Pi, readings
from tests.server.process import ServerProcess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis")

Join = Callable[..., Pi]


def test_scopes_and_parameters_are_those_of_the_code(server: ServerProcess) -> None:
    paths = server.get("/openapi.json")["paths"]
    told = {(path, method): about.get("description", "") for path, methods in paths.items() for method, about in methods.items()}
    assert told["/reset", "post"] == told["/tasks", "post"] == "With tokens on it takes the scope admin."
    assert told["/", "get"] == "With tokens on it takes the scope operate."
    assert told["/metrics", "get"] == "With tokens on it takes the scope metrics."
    assert told["/healthz", "get"] == ""
    summaries = {(path, method): about["summary"] for path, methods in paths.items() for method, about in methods.items()}
    assert [what for what, summary in summaries.items() if summary == UNTOLD.summary] == [], "say in openapi.ANSWERS what it answers"
    assert len(summaries) == len(ANSWERS), "and take out what is gone"
    parameters = {each["name"]: each["schema"] for each in paths["/rounds"]["get"]["parameters"]}
    assert parameters["limit"] == {"type": "integer", "minimum": 1, "maximum": 1000}
    assert parameters["format"] == {"type": "string", "enum": ["json", "csv"]}
    assert paths["/rounds/{number}"]["get"]["parameters"][0]["in"] == "path"


@pytest.mark.slow
def test_a_server_answers_as_it_says(server: ServerProcess, join: Join) -> None:
    pi = join()
    number = server.api.start()["round"]
    pi.train(1.0, metrics={"loss_before": 2.0, "loss_after": 1.0, "test_samples": 5, "test_error": 2.25, "test_baseline": 4.0})
    server.ended(number)
    pi.call("data_update", readings())
    schema = schemathesis.openapi.from_dict(server.get("/openapi.json"))
    schema.config.update(base_url=server.url)
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

    checks = [content_type_conformance, response_schema_conformance, status_code_conformance]

    def statuses_of(operation: Any) -> set[int]:
        answered: set[int] = set()

        @given(case=operation.as_strategy())
        @settings(max_examples=8, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def ask(case: Any) -> None:
            response = case.call(session=session)
            case.validate_response(response, checks=checks)
            answered.add(response.status_code)

        ask()
        return answered

    with requests.Session() as session:
        operations = [found.ok() for found in schema.get_all_operations()]
        seen = {f"{operation.method.upper()} {operation.path}": statuses_of(operation) for operation in operations}
    assert not [what for what, statuses in seen.items() if 500 in statuses]
    always = {"GET /status", "GET /clients", "GET /rounds", "GET /model", "GET /models", "GET /data/all", "GET /metrics", "GET /tasks"}
    assert not [what for what in always if 200 not in seen[what]], seen
