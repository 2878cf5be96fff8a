"""The trainer of release 0.1, from the git history, on the graphs of today: a fleet is upgraded over hours, and its server first."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn import trainer
from bramble_client.learn.fitting import Shuffle
from bramble_client.learn.trainer import Trainer
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate, TrainConfig
from tests import previous

ROOT = Path(__file__).parents[2]
CLIMATE = ROOT / "server/bramble_server/tasks/climate.tflite"
CONFIG = TrainConfig(epochs=2, batch_size=16, learning_rate=0.05, proximal_mu=0.1)

CODE = """
import sys
from pathlib import Path
import numpy as np
from edge_client.trainer import Trainer
from protocol.graph import GraphFile
from protocol.messages import ClientUpdate, TrainConfig
path, readings, folder, config = sys.argv[1:]
graph = GraphFile.read(Path(path).read_bytes())
with np.load(readings) as file:
    times, values = file["times"], file["values"]
manifest = graph.manifest
update = ClientUpdate(3, manifest.task, graph.sha256, manifest.layout, "float32", "float32", graph.initial, TrainConfig(**eval(config)))
complete = Trainer(Path(folder), lambda _: graph.data, "pi-1").run(update, lambda keys, since: (times, values), None).complete
np.savez(Path(folder) / "trained.npz", weights=complete.weights, samples=complete.samples, **complete.metrics)
"""


@pytest.fixture(scope="module")
def release_0_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its sources."""
    return previous.unpack(tmp_path_factory.mktemp("release-0.1") / "sources")


@pytest.fixture
def readings(tmp_path: Path) -> Path:
    """Two weeks of hours with warm afternoons."""
    rng, n = np.random.default_rng(0), np.arange(330)
    temperature = 12 + 6 * np.sin(n * 2 * np.pi / 24) + np.cumsum(rng.normal(0, 0.1, len(n)))
    values = np.stack([temperature, 90 - 2 * temperature, 1000 + np.cumsum(rng.normal(0, 0.3, len(n)))], 1)
    np.savez(tmp_path / "readings.npz", times=1_672_531_200.0 + 3600.0 * n, values=values)
    return tmp_path / "readings.npz"


def trained_by(release: Path, graph: Path, readings: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    environment = {**os.environ, "PYTHONPATH": str(release)}
    config = {name: getattr(CONFIG, name) for name in ("epochs", "batch_size", "learning_rate", "proximal_mu")}
    command = [sys.executable, "-P", "-c", CODE, str(graph), str(readings), str(readings.parent), repr(config)]
    done = subprocess.run(command, cwd=release, env=environment, capture_output=True, text=True)
    return done, readings.parent / "trained.npz"


def shuffles_of_0_1(seed: int, client_id: str, round_number: int) -> Shuffle:
    identity = int.from_bytes(hashlib.sha256(client_id.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, identity, round_number]).permutation


def test_it_trains_the_graph_of_today_to_the_bits_that_a_client_of_today_gets_in_its_order(
    release_0_1: Path, readings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "shuffles", shuffles_of_0_1)
    done, path = trained_by(release_0_1, CLIMATE, readings)
    assert done.returncode == 0, done.stderr
    graph = GraphFile.read(CLIMATE.read_bytes())
    manifest = graph.manifest
    update = ClientUpdate(3, manifest.task, graph.sha256, manifest.layout, "float32", "float32", graph.initial, CONFIG)
    with np.load(readings) as file:
        times, values = file["times"], file["values"]
    ours = Trainer(tmp_path / "ours", lambda _: graph.data, "pi-1").run(update, lambda keys, since: (times, values), None).complete
    with np.load(path) as theirs:
        assert int(theirs["samples"]) == ours.samples
        assert float(theirs["loss_after"]) == ours.metrics["loss_after"] < 0.5 * ours.metrics["loss_before"]
        np.testing.assert_array_equal(theirs["weights"], ours.weights)


def test_one_that_needs_more_than_it_knows_is_refused_by_it_in_a_sentence(release_0_1: Path, readings: Path) -> None:
    done, path = trained_by(release_0_1, Path(__file__).parent / "references" / "several.tflite", readings)
    assert "manifest: unknown field interface" in done.stderr or "manifest.format: expected an integer from 1 to 1" in done.stderr
    assert not path.exists()
