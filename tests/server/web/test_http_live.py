"""Every endpoint over a real socket."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bramble_protocol.graph import GraphFile
from tests.server.pi import Pi, update
from tests.server.process import LAYOUT, ServerProcess
from tests.waiting import wait_for

Join = Callable[..., Pi]


def committed(server: ServerProcess, pi: Pi, value: float, **other: Any) -> int:
    number: int = server.get("/")["round"]
    pi.train(value, **other)
    wait_for(lambda: server.get("/status")["round"] == number, "the commit")
    return number


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_round_starts_once_and_says_with_whom(method: str, server: ServerProcess, join: Join) -> None:
    status, content, _ = server.request(method, "/")
    assert (status, content) == (503, {"error": "0 clients are connected, a round needs 1"})
    pi = join("pi-b")
    join("pi-a")
    status, content, _ = server.request(method, "/")
    assert (status, content["clients"]) == (202, ["pi-a", "pi-b"])
    status, again, _ = server.request(method, "/")
    assert (status, again) == (409, {"error": f"round {content['round']} is running"})
    assert pi.next("client_update")["round"] == content["round"]


def test_the_model_comes_as_json_bytes_or_npz(server: ServerProcess, join: Join) -> None:
    number = committed(server, join(), 1.5)
    model = server.get("/model")
    assert (model["round"], model["task"], model["layout"]) == (number, "small", LAYOUT.to_wire())
    assert model["weights"] == {"dense/kernel": [[1.5, 1.5], [1.5, 1.5]], "dense/bias": [1.5, 1.5]}
    assert model["metrics"] == {"loss_before": 2.0, "loss_after": 1.0}
    _, raw, headers = server.request("GET", "/model", {"Accept": "application/octet-stream"})
    assert headers["Content-Type"] == "application/octet-stream"
    assert np.frombuffer(raw, "<f4").tolist() == [1.5] * 6
    _, archive, headers = server.request("GET", "/model", {"Accept": "application/x-npz"})
    with np.load(io.BytesIO(archive)) as arrays:
        assert {name: arrays[name].shape for name in arrays} == {"dense/kernel": (2, 2), "dense/bias": (2,)}
        assert arrays["dense/bias"].dtype == np.float32
    status, _, headers = server.request("GET", "/model", {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (status, headers["Content-Type"]) == (200, "application/json")


def test_an_unchanged_model_is_not_sent_again(server: ServerProcess, join: Join) -> None:
    pi = join()
    committed(server, pi, 1.0)
    _, _, first = server.request("GET", "/model")
    status, content, same = server.request("GET", "/model", {"If-None-Match": first["ETag"]})
    assert (status, content, same["ETag"]) == (304, b"", first["ETag"])
    status, _, other = server.request("GET", "/model", {"If-None-Match": first["ETag"], "Accept": "application/octet-stream"})
    assert status == 200, "another form is another answer"
    assert other["ETag"] != first["ETag"]
    committed(server, pi, 2.0)
    status, content, newer = server.request("GET", "/model", {"If-None-Match": first["ETag"]})
    assert (status, content["weights"]["dense/bias"]) == (200, [2.0, 2.0])
    assert newer["ETag"] != first["ETag"]


def test_the_graph_is_served_under_its_digest_and_may_be_kept(server: ServerProcess) -> None:
    digest = server.get("/status")["graph"]
    status, data, headers = server.request("GET", f"/graphs/{digest}.tflite")
    graph = GraphFile.read(data)
    assert (status, graph.sha256, graph.manifest.layout) == (200, digest, LAYOUT)
    assert "immutable" in headers["Cache-Control"]


def test_weights_of_clients_may_be_left_out(server: ServerProcess, join: Join) -> None:
    committed(server, join(), 1.0)
    assert "weights" in server.get("/model/clients")["pi-1"]
    assert "weights" in server.get("/model/clients?weights=1")["pi-1"]
    slim = server.get("/model/clients?weights=0")["pi-1"]
    assert set(slim) == {"round", "samples", "metrics", "test", "update_norm", "cosine", "distance", "not_asked"}
    assert slim["test"] is None, "nothing was tested, and no 0.0"


def test_the_history_can_be_asked_for_in_parts(server: ServerProcess, join: Join) -> None:
    pi = join()
    numbers = [committed(server, pi, float(value)) for value in range(3)]
    rounds = server.get(f"/rounds?since={numbers[0]}")["rounds"]
    assert [item["round"] for item in rounds] == numbers[1:]
    assert all("clients" not in item for item in rounds)
    newest = server.get("/rounds?limit=1&clients=1")["rounds"]
    assert [item["round"] for item in newest] == numbers[2:]
    assert newest[0]["clients"]["pi-1"]["samples"] == 10
    assert server.get(f"/rounds/{numbers[0]}")["clients"]["pi-1"]["samples"] == 10
    told = server.get("/clients/pi-1/history")
    assert told["events"][-1]["kind"] == "connected"
    assert told["came"]["training_complete"]["messages"] >= 3
    assert told["health"] is None
    assert server.request("GET", "/clients/nobody/history")[:2] == (404, {"error": "there is no client nobody"})


def test_a_running_round_shows_its_parts_so_far(server: ServerProcess, join: Join) -> None:
    pi, _ = join("pi-1"), join("pi-2")
    number = server.get("/")["round"]
    pi.call("training_complete", update(number))
    for record in (server.get(f"/rounds/{number}"), server.get("/rounds?limit=1&clients=1")["rounds"][0]):
        assert (record["state"], record["updates"], record["ended"]) == ("running", 1, None)
        assert record["clients"]["pi-1"]["samples"] == 10
        assert record["clients"]["pi-2"]["replied"] is None
    assert list(server.get("/rounds?limit=1&client=pi-1")["rounds"][0]["clients"]) == ["pi-1"]
    assert server.get("/rounds?limit=1")["rounds"][0]["updates"] == 1


def test_the_status_says_what_is_the_case_and_its_revision_grows_with_every_change(server: ServerProcess, join: Join) -> None:
    def revision() -> int:
        return int(server.get("/status")["revision"])

    before = revision()
    assert revision() == before
    pi = join()
    joined = wait_for(lambda: (now := revision()) > before and now, "the join")
    number = server.get("/")["round"]
    assert revision() > joined
    status = server.get("/status")
    assert (status["running"], status["waiting_for"], status["clients"], status["min_clients"]) == (number, ["pi-1"], 1, 1)
    assert (status["task"], status["mode"]) == ("small", "evaluation")
    assert status["manifest"]["metric"]["unit"] == "°C"
    assert "layout" not in status["manifest"]
    asked = revision()
    pi.train()
    wait_for(lambda: server.get("/status")["running"] is None, "the end")
    assert revision() > asked


def test_the_fleet_remembers_who_was_there(server: ServerProcess, join: Join) -> None:
    pi = join("pi-away")
    there = server.get("/clients")["clients"]["pi-away"]
    assert (there["connected"], there["simulated"], there["version"], there["training"]) == (True, True, "1", False)
    assert there["channels"][0] == {"key": "temperature", "unit": "°C"}
    pi.close()
    gone = wait_for(lambda: (c := server.get("/clients")["clients"]["pi-away"])["connected"] is False and c, "it to leave")
    assert gone["since"] >= there["since"]


def test_prometheus_finds_every_metric(server: ServerProcess, join: Join) -> None:
    def values() -> dict[str, float]:
        _, content, headers = server.request("GET", "/metrics")
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = (line for line in content.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    before = values()
    metrics = {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 5, "test_error": 0.25, "test_baseline": 0.5}
    pi = join()
    number = server.get("/")["round"]
    pi.train(metrics=metrics)
    wait_for(lambda: server.get("/status")["round"] == number, "the commit")
    after = values()
    for name in (
        'bramble_rounds_total{state="committed",task="small"}',
        'bramble_updates_total{answer="accepted"}',
        'bramble_round_seconds_count{task="small"}',
    ):
        assert after[name] == before[name] + 1
    assert (after['bramble_test_error{task="small"}'], after['bramble_test_baseline{task="small"}']) == (0.25, 0.5)
    assert after["bramble_clients_connected"] == 1
    assert not [name for name in before if "bramble_test_error" in name], "nothing before it is known"
    assert after['bramble_task_error{metric="RMSE",task="small",unit="°C"}'] == 0.5
    assert (after['bramble_client_up{client="pi-1"}'], after['bramble_clients_able{task="small"}']) == (1, 1)
    record = server.get(f"/rounds/{number}")
    tested = {"metric": "RMSE", "unit": "°C", "error": 0.5, "baseline": 0.5**0.5, "samples": 5}
    assert record["clients"]["pi-1"]["test"] == tested
    alone = dict.fromkeys(("lower_quartile", "median", "upper_quartile", "worst_tenth"), 0.5)
    assert record["test"] == {**tested, "clients": alone}, "one client is every quantile"
    assert server.get("/rounds?clients=1&limit=1")["rounds"][0]["clients"]["pi-1"]["test"] == tested
    assert server.get("/model")["test"] == record["test"]
    assert server.get("/model/clients?weights=0")["pi-1"]["test"] == tested
    assert record["metrics"]["test_error"] == 0.25, "the mean of squares, as it was reported, under its old name"
    assert after["bramble_received_bytes_total"] > before["bramble_received_bytes_total"] + 24
    assert after["bramble_sent_bytes_total"] > before["bramble_sent_bytes_total"] + 24


def test_healthz_says_yes(server: ServerProcess) -> None:
    assert server.get("/healthz") == {"ok": True}


def test_an_older_model_comes_back_as_a_commit_of_its_own(server: ServerProcess, join: Join) -> None:
    server.request("POST", "/reset")
    pi = join()
    assert server.get("/models") == {"models": []}
    numbers = [committed(server, pi, value) for value in (0.5, 1.0, 1.5)]
    _, _, newest = server.request("GET", "/model")
    assert [record["round"] for record in server.get("/models")["models"]] == numbers
    status, answer, _ = server.request("POST", f"/model/rollback?round={numbers[0]}")
    assert (status, answer) == (200, {"round": numbers[2] + 1, "rollback_of": numbers[0]})
    status, model, headers = server.request("GET", "/model", {"If-None-Match": newest["ETag"]})
    assert (status, model["round"], model["weights"]["dense/bias"]) == (200, answer["round"], [0.5, 0.5])
    assert headers["ETag"] != newest["ETag"]
    record = server.get(f"/rounds/{answer['round']}")
    assert (record["state"], record["rollback_of"], record["clients"]) == ("committed", numbers[0], {})
    assert record["reason"] == f"rolled back to the model of round {numbers[0]}"
    # nothing is deleted, and the next round goes on from there under a number of its own
    assert [found["round"] for found in server.get("/models")["models"]] == [*numbers, answer["round"]]
    server.get("/")
    asked = pi.next("client_update")
    assert asked["round"] == answer["round"] + 1
    assert np.frombuffer(asked["weights"], "<f4").tolist() == [0.5] * 6


def test_a_rollback_is_refused_in_a_sentence(server: ServerProcess, join: Join) -> None:
    server.request("POST", "/reset")
    pi = join()
    number = committed(server, pi, 1.0)
    for query, status, sentence in (
        ("", 400, "round: say which, as in /model/rollback?round=7; /models lists those that are kept"),
        ("?round=0", 400, "round: expected an integer from 1 to 9007199254740992"),
        ("?round=999", 404, f"the model of round 999 is not kept; there are those of rounds {number}"),
    ):
        assert server.request("POST", f"/model/rollback{query}")[:2] == (status, {"error": sentence})
    assert server.request("GET", f"/model/rollback?round={number}")[0] == 405
    running = server.get("/")["round"]
    assert server.request("POST", "/model/rollback?round=999")[0] == 404
    assert server.get("/status")["running"] == running, "the open round goes on"
    assert server.request("POST", f"/model/rollback?round={number}")[1] == {"round": running + 1, "rollback_of": number}
    assert pi.train(2.0) == {"accepted": False, "reason": "round over"}
    assert server.get(f"/rounds/{running}")["reason"] == f"rolled back to the model of round {number}"


def test_a_model_is_pinned_measured_and_handed_out_by_its_number(server: ServerProcess, join: Join) -> None:
    server.request("POST", "/reset")
    pi = join()
    tests = {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 25, "test_error": 0.25, "test_baseline": 1.0}
    first, second = committed(server, pi, 1.0), committed(server, pi, 2.0, metrics=tests)
    one, two = server.get("/models")["models"]
    assert one["held_out"] == {"metric": "RMSE", "unit": "°C", "error": 0.5, "baseline": 1.0, "samples": 25}
    assert [(found["champion"], found["pinned"], found["held_out"] is None) for found in (one, two)] == [
        (True, False, False),
        (False, False, True),
    ]
    assert server.request("POST", f"/model/pin?round={second}")[:2] == (200, {"pinned": second})
    assert server.get("/status")["champion"] == {"round": second, "pinned": True, "worse": 0}
    assert server.request("POST", "/model/unpin")[:2] == (200, {"unpinned": second})
    assert server.request("POST", "/model/unpin")[:2] == (200, {"unpinned": None})
    assert server.get(f"/models/{first}")["weights"]["dense/bias"] == [1.0, 1.0]
    for path, status, sentence in (
        ("/model/pin", 400, "round: say which, as in /model/pin?round=7; /models lists those that are kept"),
        ("/model/pin?round=999", 404, f"the model of round 999 is not kept; there are those of rounds {first}, {second}"),
    ):
        assert server.request("POST", path)[:2] == (status, {"error": sentence})
    assert server.request("GET", "/models/999")[:2] == (404, {"error": "the model of round 999 is not kept; /models lists those that are"})
