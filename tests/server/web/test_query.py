"""What a request asks is read before anything is done for it, whether its view looks at it or not."""

from __future__ import annotations

import pytest
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from bramble_server.fleet.rate_limited_log import RateLimitedLog
from bramble_server.web import errors, query


@pytest.fixture
def done() -> list[str]:
    """What views did."""
    return []


@pytest.fixture
def app(done: list[str]) -> Flask:
    app = Flask(__name__)
    errors.register(app, RateLimitedLog())
    query.register(app)

    def answer() -> ResponseReturnValue:
        done.append(request.path)
        return jsonify(query.asked())

    @app.get("/plain")
    def plain() -> ResponseReturnValue:
        return answer()

    @app.post("/plain/<int:number>")
    def numbered(number: int) -> ResponseReturnValue:
        return answer()

    @app.get("/some")
    @query.takes(task=query.text, count=query.integer(1, 9))
    def some() -> ResponseReturnValue:
        return answer()

    @app.get("/probe")
    @query.ignored
    def probe() -> ResponseReturnValue:
        return answer()

    return app


@pytest.mark.parametrize(
    ("method", "asked", "sentence"),
    [
        ("GET", "/plain?task=a", "task: not a parameter of /plain; it knows none"),
        ("HEAD", "/plain?task=a", None),
        ("POST", "/plain/3?x", "x: not a parameter of /plain/3; it knows none"),
        ("GET", "/some?task=a&task=a", "task: given 2 times"),
        ("GET", "/some?count=3&task=&task=", "task: given 2 times"),
        ("GET", "/some?Task=a", "Task: not a parameter of /some; it knows count, task"),
        ("GET", "/some?count=", "count: expected an integer from 1 to 9"),
        ("GET", "/some?=a", ": not a parameter of /some; it knows count, task"),
        ("GET", "/some?%1b[2J=a", "?[2J: not a parameter of /some; it knows count, task"),
    ],
)
def test_what_a_view_does_not_take_is_a_sentence_and_the_view_is_not_called(
    app: Flask, done: list[str], method: str, asked: str, sentence: str | None
) -> None:
    answer = app.test_client().open(asked, method=method)
    assert (answer.status_code, answer.get_json() if sentence else None) == (400, {"error": sentence} if sentence else None)
    assert done == []


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ("/plain", {}),
        ("/some", {"task": None, "count": None}),
        ("/some?task=", {"task": "", "count": None}),
        ("/some?count=3&task=a%26b", {"task": "a&b", "count": 3}),
        ("/probe?task=a&task=a&x", {}),
    ],
)
def test_a_view_finds_what_it_takes(app: Flask, asked: str, values: dict[str, object]) -> None:
    answer = app.test_client().get(asked)
    assert (answer.status_code, answer.get_json()) == (200, values)


def test_where_nothing_is_there_is_nothing_to_ask(app: Flask) -> None:
    assert app.test_client().get("/nothing?task=a").status_code == 404
    assert app.test_client().post("/plain?task=a").status_code == 405
