"""Lists as CSV, and histories page by page, over real sockets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from bramble_protocol import tables
from tests.server.pi import Pi, readings
from tests.server.process import ServerProcess

Join = Callable[..., Pi]


def rows(server: ServerProcess, path: str, **headers: str) -> list[dict[str, str]]:
    status, body, answered = server.request("GET", path, headers)
    assert (status, answered["Content-Type"]) == (200, "text/csv; charset=utf-8; header=present"), body
    return list(csv.DictReader(io.StringIO(body.decode())))


def test_lists_come_as_csv_by_the_query_or_by_the_header(server: ServerProcess, join: Join) -> None:
    pi = join()
    number = server.api.start()["round"]
    pi.train(1.0, metrics={"loss_before": 2.0, "loss_after": 1.0, "test_samples": 5, "test_error": 2.25, "test_baseline": 4.0})
    server.ended(number)
    pi.call("data_update", readings())
    [row] = rows(server, "/rounds?format=csv")
    assert (row["round"], row["metric"], row["unit"], row["error"], row["baseline"]) == (str(number), "RMSE", "°C", "1.5", "2.0")
    assert rows(server, "/rounds", Accept="text/csv") == [row]
    assert isinstance(server.request("GET", "/rounds?format=json", {"Accept": "text/csv"})[1], dict), "the query goes before the header"
    assert [part["client"] for part in rows(server, "/rounds?clients=1&format=csv")] == ["pi-1"]
    assert [client["client"] for client in rows(server, "/clients?format=csv")] == ["pi-1"]
    assert str(number) in [model["round"] for model in rows(server, "/models?format=csv")]
    assert {reading["channel"] for reading in rows(server, "/data/all?format=csv")} == {"temperature"}
    assert rows(server, "/evaluations?format=csv") == []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("rounds?format=xls", "format: expected json or csv"),
        ("rounds?order=random", "order: expected newest or oldest"),
        ("data/all?order=oldest", "order: the oldest readings are those of one client; name it, as in client=pi-kitchen"),
    ],
)
def test_what_is_asked_wrongly_is_refused_by_name(server: ServerProcess, query: str, sentence: str) -> None:
    assert server.request("GET", f"/{query}")[:2] == (400, {"error": sentence})


def test_rounds_are_read_from_the_first_on(server: ServerProcess, join: Join) -> None:
    pi = join()
    for _ in range(3):
        number = server.api.start()["round"]
        pi.train(1.0)
        server.ended(number)
    first = server.api.rounds(number - 3, 2, order="oldest", clients=False)
    assert [record["round"] for record in first] == [number - 2, number - 1]
    assert [record["round"] for record in server.api.rounds(number - 1, 2, order="oldest", clients=False)] == [number]
    assert len(tables.COLUMNS["rounds"]) == len(rows(server, "/rounds?format=csv&limit=1")[0])
