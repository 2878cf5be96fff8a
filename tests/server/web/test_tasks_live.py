"""Every endpoint of a server with two tasks, asked about each of them, and about what is no task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from bramble_protocol.features import TRACKS
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel
from tests.server.pi import Pi, hello, update
from tests.server.process import ServerProcess, write_graph

WIDER = Layout.of([("w", [3, 3])])
READ = ("/status", "/clients", "/rounds", "/model", "/models", "/model/clients")
START = ("/", "/reset", "/model/rollback?round=1")
ALIKE = ("/generate", "/data/all", "/rounds/1", "/metrics", "/graphs/{graph}.tflite", "/graphs/{graph}.sig")
"""Paths that are about no task."""
PROBES = ("/healthz", "/readyz")
PAGE = {"Accept": "text/html", "User-Agent": "Mozilla/5.0"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A client that takes part in both tasks, and a round of each: 1 of the first, 2 of the second."""
    folder = tmp_path_factory.mktemp("server")
    damp = write_graph(folder, WIDER, "damp", (Channel("humidity", "%"),))
    flags = ("--task", str(write_graph(folder)), "--task", str(damp), "--min-clients", "1", "--min-updates", "1")
    with ServerProcess(folder, *flags) as made:
        pi = Pi(made.url, auth={**hello("pi-1"), "protocol": 2, "features": [TRACKS], "instance": "one"})
        weights = np.full(WIDER.size, 5.0, "<f4").tobytes()
        of_damp: dict[str, Any] = {"layout": WIDER.to_wire(), "weights": weights}
        of_small: dict[str, Any] = {}
        for number, task, other in ((1, "small", of_small), (2, "damp", of_damp)):
            assert made.request("POST", f"/?task={task}")[:2] == (202, {"round": number, "clients": ["pi-1"]})
            assert pi.next("client_update")["task"] == task
            assert pi.call("training_complete", update(number, 3.0, **other)) == {"accepted": True}
            assert made.ended(number)["state"] == "committed"
        yield made
        pi.close()


def seen(server: ServerProcess, task: str) -> dict[str, Any]:
    """What each path that reads says of a task."""
    return {path: server.get(f"{path}?task={task}") for path in READ}


def test_each_path_is_about_the_task_that_is_named(server: ServerProcess) -> None:
    for task, number, size in (("small", 1, 6), ("damp", 2, 9)):
        said = seen(server, task)
        status, model = said["/status"], said["/model"]
        assert (status["task"], status["round"], status["manifest"]["task"], status["able"]) == (task, number, task, 1)
        assert (model["task"], model["round"], model["graph"]) == (task, number, status["graph"])
        assert Layout.from_wire(model["layout"]).size == size
        assert [(entry["round"], entry["task"]) for entry in said["/rounds"]["rounds"]] == [(number, task)]
        assert [entry["round"] for entry in said["/models"]["models"]] == [number]
        assert said["/model/clients"]["pi-1"]["round"] == number
        assert (server.get(f"/rounds/{number}")["task"], said["/clients"]["clients"]["pi-1"]["fits"]) == (task, True)
    first = {path: server.get(path) for path in READ}
    assert first == seen(server, "small"), "without a name it is the first"
    assert server.request("POST", "/model/rollback?round=2&task=small")[0] == 404, "a round of another task's"


@pytest.mark.parametrize("path", [*READ, *START])
def test_what_is_no_task_is_a_sentence_and_starts_nothing(server: ServerProcess, path: str) -> None:
    before = {task: seen(server, task) for task in ("small", "damp")}
    method, sign = ("GET" if path in READ else "POST"), "&" if "?" in path else "?"
    for name in ("nothing", "", "Damp", "damp ", "\x1b[2J", "x" * 7_000, "damp\0", "\N{SNOWMAN}", "../small"):
        code, said, _ = server.request(method, f"{path}{sign}task={quote(name, safe='')}")
        assert code == 404, (name, said)
        assert said["error"].endswith("is not served here; there is small, damp")
        assert said["error"].isprintable()
        assert len(said["error"]) < 200
    assert server.request(method, f"{path}{sign}task={'x' * 10_000}")[0] == 414, "a request line has an end"
    for query in ("task=damp&task=damp", "task=damp&task=small", "tasks=damp", "TASK=damp"):
        code, said, _ = server.request(method, f"{path}{sign}{query}")
        assert (code, list(said)) == (400, ["error"]), query
    assert {task: seen(server, task) for task in ("small", "damp")} == before


@pytest.mark.parametrize("path", ALIKE)
@pytest.mark.parametrize("asked", ["task=damp", "task=", "task=nothing", "task=damp&task=damp", "x"])
def test_what_is_about_no_task_takes_no_name_of_one(server: ServerProcess, path: str, asked: str) -> None:
    at = path.format(graph=server.get("/status")["graph"])
    code, said, _ = server.request("GET", f"{at}?{asked}")
    assert (code, said["error"].split(":")[0]) == (400, asked[:4].rstrip("=")), said


def test_forgetting_a_client_is_about_no_task_either(server: ServerProcess) -> None:
    assert server.request("DELETE", "/clients/pi-1?task=damp")[:2] == (
        400,
        {"error": "task: not a parameter of /clients/pi-1; it knows none"},
    )


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("asked", ["", "?", "?task=damp", "?task=", "?task=nothing", "?x=1&x=1", "?1764244800"])
def test_a_probe_is_answered_whatever_it_appends(server: ServerProcess, path: str, asked: str) -> None:
    for method in ("GET", "HEAD"):
        assert server.request(method, path + asked)[0] == 200


@pytest.mark.parametrize("path", ["/", "/reset"])
@pytest.mark.parametrize(
    ("asked", "code", "sentence"),
    [
        ("task=", 404, b"is not served here; there is small, damp"),
        ("task=nothing", 404, b"is not served here; there is small, damp"),
        ("task=damp&amp;task=small", 400, b"not a parameter of"),
        ("task=damp&task=small", 400, b"Task: given 2 times"),
        ("now=1", 400, b"not a parameter of"),
    ],
)
def test_a_browser_is_told_on_a_page_that_starts_nothing(server: ServerProcess, path: str, asked: str, code: int, sentence: bytes) -> None:
    before = seen(server, "damp")
    answered, page, headers = server.request("GET", f"{path}?{asked}", PAGE)
    assert (answered, headers["Content-Type"]) == (code, "text/html; charset=utf-8")
    assert sentence in page
    assert b"<form" not in page
    assert seen(server, "damp") == before
