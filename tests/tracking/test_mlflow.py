"""Curves in MLflow's own tracking server, which has pins of its own and so an environment of its own: make test-mlflow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_server import tracking

pytest.importorskip("mlflow", reason="MLflow is not here; run: make test-mlflow")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """MLflow's application with files for a store, at an address of this machine."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", f"file://{tmp_path}/store")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", f"{tmp_path}/artifacts")
    from mlflow.server import app
    from werkzeug.serving import make_server

    serving = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()


def test_two_runs_of_one_experiment_have_their_curves_settings_and_ends(server: str) -> None:
    with tracking.begun(f"mlflow:{server}", "first", {"strategy": "fedavg", "seed": 1, "codec": None}) as curves:
        curves.of_task("climate", 1, {"error": 3.5, "baseline": None})
        curves.of_task("climate", 2, {"error": 2.5, "loss_after": float("nan")})
    with pytest.raises(KeyboardInterrupt), tracking.begun(f"mlflow:{server}", "second", {}):
        raise KeyboardInterrupt

    from mlflow.tracking import MlflowClient

    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("bramble")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {"first": "FINISHED", "second": "FAILED"}
    first = runs["first"]
    assert first.data.params == {"strategy": "fedavg", "seed": "1"}
    assert set(first.data.metrics) == {"climate/error"}
    points = client.get_metric_history(first.info.run_id, "climate/error")
    assert [(point.step, point.value) for point in points] == [(1, 3.5), (2, 2.5)]
