"""Ordinary Keras models export, and train in the graph as TensorFlow trains them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

from bramble_client.learn.runtime import Runtime
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
    runtime = Runtime(convert({"fit": program.signatures()["fit"]}))
    rate, mu, _ = expected["settings"]
    start = {f"w{i}": tensor for i, tensor in enumerate(program.layout.split(expected["start"]))}
    for steps, trained in ((1, expected["first"]), (STEPS, expected["last"])):
        picked = {"idx": expected["idx"][:steps], "sw": expected["sw"][:steps]}
        results = runtime("fit", x=expected["x"], y=expected["y"], lr=rate, mu=mu, **picked, **start)
        flat = program.layout.join([results[f"next_w{i}"] for i in range(len(start))])
        assert np.abs(trained - expected["start"]).max() > 1e-4
        np.testing.assert_allclose(flat, trained, rtol=0, atol=3e-6)
