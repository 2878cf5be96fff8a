"""Saved Keras models with a few lines of TOML that do more than to forecast one number: each is exported, which compares it with Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

import keras

from bramble import task
from bramble_client.learn.runtime import Runtime
from bramble_protocol import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_server.authoring import own
from tests.authoring.models import L

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

HEAD = """
name = "mine"
model = "mine.keras"
window = 8
step = "1m"
"""
CHANNELS = """
[channels.temperature]
unit = "°C"
center = 20.0
scale = 5.0
[channels.humidity]
unit = "%"
center = 50.0
scale = 25.0
"""
OPTIONAL = CHANNELS + "optional = true\nlow = -100\nhigh = 200\n"


def written(folder: Path, settings: str, channels: str, columns: int, *layers: Any) -> tuple[Any, Path]:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([L.Input((8, columns)), *layers])
    model.save(folder / "mine.keras")
    (folder / "mine.toml").write_text(HEAD + settings + channels, "utf-8")
    return model, folder / "mine.toml"


def infer(graph: GraphFile, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    weights = {f"w{i}": tensor for i, tensor in enumerate(graph.manifest.layout.split(graph.initial))}
    found: dict[str, np.ndarray] = Runtime(graph.flatbuffer)("infer", **inputs, **weights)
    return found


def windows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal((20, 50), (5, 20), (6, 8, 2)).astype(np.float32)
    return x, (x - np.array([20, 50], np.float32)) / np.array([5, 25], np.float32)


@pytest.mark.parametrize(("predicts", "activation"), [("probabilities", "softmax"), ("logits", None)])
def test_classes_that_somebody_names(tmp_path: Path, predicts: str, activation: str | None) -> None:
    settings = f'kind = "classify"\nclasses = ["cold", "mild", "hot"]\npredicts = "{predicts}"\nstride = 4\n'
    model, path = written(tmp_path, settings, CHANNELS, 2, L.Flatten(), L.Dense(3, activation))
    graph = task.own_graph(str(path))
    manifest = graph.manifest
    assert (manifest.kind.classes, manifest.target, manifest.horizon, manifest.stride) == (("cold", "mild", "hot"), "label", 0, 4)
    assert [channel.key for channel in manifest.channels] == ["temperature", "humidity", "label"]
    x, scaled = windows()
    expected = model(scaled).numpy() if activation else keras.ops.softmax(model(scaled)).numpy()
    np.testing.assert_allclose(infer(graph, window=x)["probability"], expected, atol=1e-5)


def test_classes_by_a_rule_on_a_channel_to_come(tmp_path: Path) -> None:
    settings = 'kind = "classify"\nclasses = ["cold", "warm"]\ntarget = "temperature"\nedges = [18.0]\nhorizon = 3\n'
    _, path = written(tmp_path, settings, CHANNELS, 2, L.Flatten(), L.Dense(2, "softmax"))
    manifest = task.own_graph(str(path)).manifest
    assert (manifest.kind.edges, manifest.target, manifest.horizon) == ((18.0,), "temperature", 3)


def test_a_window_made_again_of_which_a_channel_may_be_missing(tmp_path: Path) -> None:
    model, path = written(
        tmp_path, 'kind = "reconstruct"\nalarm_rate = 0.01\n', OPTIONAL, 3, L.Flatten(), L.Dense(4, "tanh"), L.Dense(16), L.Reshape((8, 2))
    )
    graph = task.own_graph(str(path))
    assert (graph.manifest.kind.alarm_rate, graph.manifest.optional, graph.manifest.target) == (0.01, ("humidity",), "temperature")
    x, scaled = windows()
    there = np.ones((6, 8, 1), np.float32)
    there[:3] = 0
    x[:3, :, 1] = 0
    known = np.concatenate([np.ones_like(there), there], -1)
    made = model(np.concatenate([scaled * known, there], -1)).numpy()
    expected = (((made - scaled) * known) ** 2).sum((1, 2)) / known.sum((1, 2))
    np.testing.assert_allclose(infer(graph, window=x, there=there)["error"], expected, rtol=1e-4)


def test_several_horizons_from_a_channel_that_a_client_may_lack(tmp_path: Path) -> None:
    settings = 'target = "temperature"\nhorizon = [1, 3]\nscale = 2.0\nleast = 20\n'
    model, path = written(tmp_path, settings, OPTIONAL, 3, L.Flatten(), L.Dense(2))
    graph = task.own_graph(str(path))
    assert (graph.manifest.interface.targets[0].horizons, graph.manifest.horizon, graph.manifest.least) == ((1, 3), 3, 20)
    x, scaled = windows()
    y = {"y": np.zeros((6, 2), np.float32)}
    far = x + np.array([0, 1e3], np.float32)
    doubts = [Runtime(graph.flatbuffer)("doubt", window=each, there=np.ones((6, 8, 1), np.float32), **y)["doubt"] for each in (x, far)]
    assert doubts[0].max() <= 1 < doubts[1].min(), "its humidity has a range"
    expected = x[:, -1, :1] + 2 * model(np.concatenate([scaled, np.ones((6, 8, 1), np.float32)], -1)).numpy()
    np.testing.assert_allclose(infer(graph, window=x, there=np.ones((6, 8, 1), np.float32))["y"], expected, atol=1e-4)


CLASSES = 'kind = "classify"\nclasses = ["a", "b"]\n'


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('kind = "classify"\n', r"classes is missing: name them"),
        (CLASSES + "alarm_rate = 0.1\n", "alarm_rate is no setting of a task that is to classify; leave it out, or say another kind"),
        (CLASSES + 'predicts = "change"\n', "predicts: a model that is to classify gives probabilities or logits, and not 'change'"),
        (CLASSES + 'target = "temperature"\n', "edges: a rule is on a channel, the target, and has an edge between each two classes"),
        (CLASSES + 'target = "temperature"\nedges = [1.0, 2.0]\n', r"manifest\.kind\.edges: expected 1 numbers"),
        ('kind = "classify"\nclasses = ["a", "a"]\n', r"manifest\.kind\.classes: two have one name"),
        ('kind = "reconstruct"\nalarm_rate = 0.9\n', r"manifest\.kind\.alarm_rate: "),
        ("", "target is missing"),
        ('target = "label"\n', "target: 'label' is not one of its channels"),
        ('target = "temperature"\nhorizon = []\n', "horizon: name one at least"),
        ('target = "temperature"\nhorizon = [3, 1]\n', "expected numbers that increase"),
        ('target = "humidity"\n', r"manifest\.target: humidity is optional; take a channel that every client has"),
        (CLASSES, r"gives \(None, 3\); by mine.toml it must give \(None, 2\): probabilities of its classes"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, settings: str, sentence: str) -> None:
    _, path = written(tmp_path, settings, OPTIONAL, 3, L.Flatten(), L.Dense(3))
    with pytest.raises(BrambleError, match=sentence):
        own.read(path).model()
