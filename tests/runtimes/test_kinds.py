"""Built-in tasks of every kind give on a runtime what TensorFlow gives: a few steps that it recorded, and what came out then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bramble_client.learn.fitting import Model, Run
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.windows import Windows
from bramble_protocol.interface import MEASURES
from bramble_protocol.messages import TrainConfig
from bramble_server import tasks

FOLDER = Path(__file__).parent / "references"
GRAPHS = {name: tasks.load(name) for name in ("activity", "anomaly", "room")}


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_steps_outputs_and_measures_are_tensorflows(name: str) -> None:
    graph = GRAPHS[name]
    manifest, runtime = graph.manifest, Runtime(graph.flatbuffer)
    with np.load(FOLDER / f"{name}.npz") as file:
        told = dict(file)
    inputs, targets = ({part.name: told[part.name] for part in parts} for parts in (manifest.interface.inputs, manifest.interface.targets))
    data = Windows(inputs, targets, np.arange(len(next(iter(inputs.values()))), dtype=float))
    config = TrainConfig(learning_rate=0.05, proximal_mu=0.02)
    run = Run(runtime, manifest, data, Model(graph.initial, graph.state), (told["idx"], np.ones(told["idx"].shape, np.float32)), config,
              momentum=0.8)  # fmt: skip
    run.advance(run.left)
    assert np.abs(told["last"] - graph.initial).max() > 0.01
    assert_allclose(run.model.weights, told["last"], rtol=0, atol=1e-5)
    model = Model(told["last"], graph.state).arguments(manifest)
    given = runtime("infer", **inputs, **model)
    for output in manifest.interface.outputs:
        assert_allclose(given[output.name], told[f"given_{output.name}"], rtol=1e-4, atol=1e-5)
    measured = runtime("evaluate", **inputs, **targets, sw=np.ones(len(data), np.float32), **model)
    assert_allclose([measured[each] for each in MEASURES], told["measures"], rtol=1e-4)
