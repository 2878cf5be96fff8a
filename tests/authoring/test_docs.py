"""The task that docs/add-a-task.md shows can be exported and learns."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

from bramble_client.learn.trainer import Trainer
from bramble_protocol.messages import ClientUpdate
from bramble_server.authoring.export import export
from bramble_server.tasks import Task

PAGE = Path(__file__).parents[2] / "docs" / "add-a-task.md"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def documented() -> Task:
    """Run the page's Python and return its task."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, type[Task]] = {}
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)
    return names["Humidity"]()


def test_the_documented_task_is_exported_and_learns(tmp_path: Path) -> None:
    graph = export(documented())
    manifest = graph.manifest
    rng = np.random.default_rng(0)
    hours = np.arange(400, dtype=np.float64)
    humidity = 60 + 25 * np.sin(hours * 2 * np.pi / 24) + rng.normal(0, 1, 400)
    values = np.stack([30 - humidity / 4, humidity], 1)
    trainer, weights, tests = Trainer(tmp_path, lambda _: graph.data, "pi-1"), graph.initial, []
    for number in range(1, 6):
        update = ClientUpdate(number, manifest.task, graph.sha256, manifest.layout, "float32", "float32", weights, manifest.config)
        result = trainer.run(update, lambda keys, since: (3600.0 * hours, values), None)
        weights = result.complete.weights
        tests.append(result.complete.metrics)
    assert tests[0]["test_error"] == pytest.approx(tests[0]["test_baseline"], rel=1e-4)
    assert tests[-1]["test_error"] < 0.6 * tests[-1]["test_baseline"]
