"""Curves for TensorBoard and MLflow: each round's figures arrive, and rounds go on whatever becomes of them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import bramble
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Metric
from bramble_server import tracking
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.registry import Registry
from bramble_server.metrics import Metrics
from tests.bramble.simulated import recorded


class MLflow(BaseHTTPRequestHandler):
    """Answers as MLflow's tracking server does, as far as it is asked."""

    asked: list[tuple[str, Any]]

    def do_GET(self) -> None:
        self._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})

    def do_POST(self) -> None:
        path = self.path.removeprefix("/api/2.0/mlflow/")
        self.asked.append((path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self._answer(200, {"experiments/create": {"experiment_id": "7"}, "runs/create": {"run": {"info": {"run_id": "r1"}}}}.get(path, {}))

    def _answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def mlflow() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    asked: list[tuple[str, Any]] = []
    with HTTPServer(("127.0.0.1", 0), type("Here", (MLflow,), {"asked": asked})) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            serving.join()


def test_a_server_s_rounds_arrive_with_the_task_s_metric_by_task() -> None:
    metrics = Metrics({"climate": Metric("RMSE", "°C", "sqrt", "persistence: as now")}, Registry({"climate": Needs()}))
    with mlflow() as (address, asked):
        with tracking.begun(f"mlflow:{address}", "server", {"strategy": "fedavg", "seed": None}) as curves:
            metrics.follow(curves.of_task)
            metrics.round_ended("climate", "committed", 2.0, {"test_error": 2.25, "loss_after": 0.5}, {"a": {"replied": 1.0}}, 9.0, 4)
            metrics.round_ended("climate", "abandoned", 3.0, {"test_error": 9.0}, {"a": {"replied": None}}, 9.0, 5)
    paths = [path for path, _ in asked]
    assert paths == ["experiments/create", "runs/create", *["runs/log-batch"] * 3, "runs/update"]
    assert asked[2][1]["params"] == [{"key": "strategy", "value": "fedavg"}]
    first, second = ({each["key"]: each["value"] for each in body["metrics"]} for _, body in asked[3:5])
    assert {each["step"] for each in asked[3][1]["metrics"]} == {4}
    assert first == {
        "climate/committed": 1, "climate/seconds": 2, "climate/asked": 1, "climate/answered": 1, "climate/error": 1.5,
        "climate/loss_after": 0.5,
    }  # fmt: skip
    assert second == {"climate/committed": 0, "climate/seconds": 3, "climate/asked": 1, "climate/answered": 0}, "nothing of what was before"
    assert asked[5][1]["status"] == "FINISHED"


def test_a_tracking_server_that_goes_is_said_once_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with mlflow() as (address, _):
        curves = tracking.begun(f"mlflow:{address}", "server", {})
    for number in range(3):
        curves.round(number, {"error": 1.0})
    curves.close()
    [said] = [record.getMessage() for record in caplog.records if record.name == tracking.log.name]
    assert said.startswith(f"--log-to mlflow:{address}: some curves are not written")


def test_what_answers_and_is_no_tracking_server_is_refused_at_the_start() -> None:
    with pytest.raises(BrambleError, match="is not an MLflow tracking server"):
        tracking.begun("mlflow:http://127.0.0.1:9", "server", {})


@pytest.mark.parametrize("where", ["tensorboard:", "wandb:x", "mlflow:localhost", "runs"])
def test_a_place_that_is_none_is_refused(where: str) -> None:
    with pytest.raises(ValueError, match="expected tensorboard:FOLDER or mlflow:ADDRESS"):
        tracking.checked(where)


@pytest.mark.slow
def test_a_simulation_s_curves_are_in_tensorboard_s_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    recorded(tmp_path / "attic.csv")
    found = bramble.simulate(clients=2, rounds=2, data=str(tmp_path), workers=1, log_to=f"tensorboard:{tmp_path / 'curves'}")
    [file] = (tmp_path / "curves").glob("*/events.out.tfevents.*")
    data, at = file.read_bytes(), 0
    points: dict[tuple[str, int], float] = {}
    while at < len(data):  # length, its check, the event, its check
        size = int.from_bytes(data[at : at + 8], "little")
        event = Event.FromString(data[at + 12 : at + 12 + size])
        points |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        at += 16 + size
    errors = list(found.rounds["error"]) if hasattr(found.rounds, "columns") else [row["error"] for row in found.rounds]
    assert [points["error", 1], points["error", 2]] == pytest.approx(errors)
    assert file.parent.name.startswith("fedavg-seed0-")
