"""Ordinary Keras models export, and train in the graph as TensorFlow trains them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

from bramble_client.learn.fitting import Model, Run, drawn_by
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.windows import Windows
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import TrainConfig
from bramble_server.authoring.export import export
from bramble_server.authoring.export.convert import convert
from bramble_server.authoring.export.layers import Drawn, Draws
from bramble_server.authoring.export.program import Program
from tests.authoring.models import MODELS, Example, L
from tests.authoring.references import built, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


STEPS = 20
DROPPED = Example(
    "dropped",
    lambda: [L.Conv1D(6, 5, activation="relu"), L.SpatialDropout1D(0.25), L.MaxPooling1D(4), L.Flatten(), L.Dense(8), L.Dropout(0.5)],
)


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


def test_dropout_goes_by_the_numbers_that_a_client_draws_by_its_seed() -> None:
    graph = export(DROPPED)  # which compares two steps with TensorFlow's on the same numbers
    manifest, told = graph.manifest, run(DROPPED, seed=3, steps=STEPS)
    assert (manifest.interface.draws, manifest.former) == (6 + 8, None)
    assert GraphFile.read(graph.data).manifest == manifest
    runtime, data = Runtime(graph.flatbuffer), Windows({"x": told["x"]}, {"y": told["y"]}, np.arange(len(told["y"]), dtype=float))

    def trained(seed: str, most: int = STEPS) -> np.ndarray:
        local = Run(
            runtime, manifest, data, Model(graph.initial, graph.state), (told["idx"], told["sw"]), TrainConfig(learning_rate=0.05),
            draw=drawn_by(seed),
        )  # fmt: skip
        while local.left:
            local.advance(most)
        return local.model.weights

    once = trained("a round")
    np.testing.assert_array_equal(trained("a round", most=3), once)
    assert np.abs(trained("another round") - once).max() > 1e-3
    model = Model(once, graph.state).arguments(manifest)
    first, second = (runtime("infer", x=told["x"], **model)["y"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_what_is_dropped_is_as_often_as_the_layer_says_and_made_up_for() -> None:
    draws = Draws()
    layer = Drawn(L.Dropout(0.25), draws)
    layer.build((None, 40))
    draws.now = np.stack([drawn_by("seed")(step, 40) for step in range(2000)])
    found = np.asarray(layer(np.ones((2000, 40), np.float32), training=True))
    assert set(np.unique(found).tolist()) == {0.0, np.float32(1 / 0.75)}
    assert abs((found == 0).mean() - 0.25) < 0.01
    np.testing.assert_array_equal(np.asarray(layer(np.ones((2, 40), np.float32))), 1)
