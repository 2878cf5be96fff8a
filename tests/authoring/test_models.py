"""Ordinary Keras models export, and train in the graph as TensorFlow trains them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

from bramble_client.learn.fitting import Model, Run
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.windows import Windows
from bramble_protocol.messages import TrainConfig
from bramble_server.authoring.export.convert import convert
from bramble_server.authoring.export.program import Program
from tests.authoring.models import MODELS, Example
from tests.authoring.references import built, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


STEPS = 20


@pytest.mark.parametrize("name", MODELS)
def test_a_local_run_in_the_graph_is_tensorflows(name: str) -> None:
    task = Example(name, MODELS[name])
    expected = run(task, seed=3, steps=STEPS)
    program = Program(task, built(task))
    face = program.interface
    runtime = Runtime(convert({"descend": program.signatures()["descend"]}))
    rate, mu, clip, momentum = expected["settings"]
    for steps, trained, told in (
        (1, expected["first"], {}),
        (STEPS, expected["last"], {}),
        (STEPS, expected["clipped"], {"clip": clip}),
        (STEPS, expected["moved"], {"momentum": momentum, "anchor": expected["anchor"], "correction": expected["correction"]}),
    ):
        data = Windows({"x": expected["x"]}, {"y": expected["y"]}, np.arange(len(expected["y"]), dtype=float))
        start, config = Model(expected["start"], program.state()), TrainConfig(learning_rate=float(rate), proximal_mu=float(mu))
        local = Run(runtime, program.manifest, data, start, (expected["idx"][:steps], expected["sw"][:steps]), config, **told)
        local.advance(steps)
        assert np.abs(trained - expected["start"]).max() > 1e-4
        np.testing.assert_allclose(local.model.weights, trained, rtol=0, atol=3e-6)
        if face.state.size and steps == STEPS and not told:
            np.testing.assert_allclose(local.model.state, expected["state"], rtol=1e-5, atol=1e-5)
