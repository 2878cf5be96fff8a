"""The committed graph is what its task exports today, and the committed reference runs are what TensorFlow gives today."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

from bramble_client.learn.fitting import arguments
from bramble_client.learn.runtime import Runtime
from bramble_protocol.graph import GraphFile
from bramble_server.authoring.export import export
from bramble_server.tasks import create, load
from tests.authoring.models import REFERENCES
from tests.authoring.references import FOLDER, run, weather

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

KINDS = {"w": 1.0, "anchor": 0.9, "correction": 0.01, "velocity": 0.02}
"""What a step takes for each weight, as a part of the weight."""


@pytest.fixture(scope="module")
def again() -> GraphFile:
    return export(create("climate"))


def test_a_fresh_export_has_the_committed_manifest_and_weights(again: GraphFile) -> None:
    committed = load("climate")
    assert again.manifest == committed.manifest
    # the initialiser's numbers may differ in the last bit between processors
    np.testing.assert_allclose(again.initial, committed.initial, rtol=0, atol=1e-7)


def test_a_fresh_export_forecasts_measures_and_trains_as_the_committed_graph_does(again: GraphFile) -> None:
    committed = load("climate")
    x, y = weather(50, seed=7)
    rng = np.random.default_rng(7)
    weights = committed.initial + rng.normal(0, 0.1, committed.initial.shape).astype(np.float32)
    layout = committed.manifest.layout
    named, anchor, correction, velocity = (arguments(layout, weights * size, kind) for kind, size in KINDS.items())
    idx = rng.integers(0, 50, (30, 8))
    minibatches = {"x": x, "y": y, "idx": idx, "sw": np.ones(idx.shape), "lr": 0.01, "mu": 0.1}
    calls: dict[str, dict[str, Any]] = {
        "infer": {"x": x},
        "evaluate": {"x": x, "y": y, "sw": rng.random(50)},
        "fit": minibatches,
        "descend": {**minibatches, "momentum": 0.9, "clip": 0.5, **anchor, **correction, **velocity},
    }
    old, new = Runtime(committed.flatbuffer), Runtime(again.flatbuffer)
    assert old.signatures == new.signatures
    for signature, inputs in calls.items():
        before, after = old(signature, **inputs, **named), new(signature, **inputs, **named)
        for name in before:
            np.testing.assert_allclose(after[name], before[name], rtol=1e-5, atol=1e-6, err_msg=f"{signature} {name}")


@pytest.mark.parametrize("name", REFERENCES)
def test_the_committed_reference_run_is_what_tensorflow_gives(name: str) -> None:
    fresh = run(REFERENCES[name](), seed=1)
    with np.load(FOLDER / f"{name}.npz") as file:
        committed = dict(file)
    assert set(fresh) == set(committed)
    for key, value in fresh.items():
        np.testing.assert_allclose(value, committed[key], rtol=1e-5, atol=2e-6, err_msg=key)
