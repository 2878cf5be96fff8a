"""Both runtimes train as TensorFlow does: reference runs that TensorFlow recorded, step by step, must come out the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.learn.fitting import Model, Run, TrainingFault
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.windows import Windows
from bramble_protocol.graph import GraphFile
from bramble_protocol.interface import MEASURES
from bramble_protocol.messages import TrainConfig

FOLDER = Path(__file__).parent / "references"
CLIMATE = Path(__file__).parents[2] / "server/bramble_server/tasks/climate.tflite"
NAMES = ("climate", "conv", "gru", "separable", "several")
EXACT = 1e-6
"""What 100 steps of float32 rounding, summed in another order, may leave; 1e-7 was seen."""


class Reference:
    """A graph, its recorded run, and the graph's signatures over flat weights."""

    def __init__(self, name: str) -> None:
        self.graph = GraphFile.read((CLIMATE if name == "climate" else FOLDER / f"{name}.tflite").read_bytes())
        self.runtime = Runtime(self.graph.flatbuffer)
        with np.load(FOLDER / f"{name}.npz") as file:
            self.run = dict(file)
        rate, mu, self.clip, self.momentum = self.run["settings"]
        self.config = TrainConfig(learning_rate=float(rate), proximal_mu=float(mu))
        face = self.graph.manifest.interface
        inputs, targets = ({part.name: self.run[part.name] for part in parts} for parts in (face.inputs, face.targets))
        self.windows = Windows(inputs, targets, np.arange(len(self.run[face.inputs[0].name]), dtype=float))
        self.minibatches = self.run["idx"], self.run["sw"]

    def model(self, weights: np.ndarray, state: np.ndarray | None = None) -> dict[str, np.ndarray]:
        return Model(weights, self.graph.state if state is None else state).arguments(self.graph.manifest)

    def begin(self, steps: slice = slice(None), data: Windows | None = None, weights: np.ndarray | None = None, **given: Any) -> Run:
        """A local run on the recorded windows; ``config`` and ``minibatches`` may be others, too."""
        start = Model(self.run["start"] if weights is None else weights, self.graph.state)
        idx, sw = given.pop("minibatches", self.minibatches)
        config = given.pop("config", self.config)
        return Run(self.runtime, self.graph.manifest, data or self.windows, start, (idx[steps], sw[steps]), config, **given)

    def trained(self, *steps: Any, **given: Any) -> np.ndarray:
        """Where such a run ends that is done in one call."""
        run = self.begin(*steps, **given)
        run.advance(run.left)
        return run.model.weights


@pytest.fixture(scope="module", params=NAMES)
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(request.param)


def test_the_graph_starts_from_the_recorded_weights(reference: Reference) -> None:
    np.testing.assert_array_equal(reference.graph.initial, reference.run["start"])


def test_one_step_is_tensorflows(reference: Reference) -> None:
    first = reference.trained(slice(0, 1))
    np.testing.assert_allclose(first, reference.run["first"], rtol=0, atol=1e-7)
    assert np.abs(first - reference.run["start"]).max() > 1e-4


def test_a_hundred_steps_end_where_tensorflow_ends(reference: Reference) -> None:
    run = reference.begin()
    run.advance(run.left)
    np.testing.assert_allclose(run.model.weights, reference.run["last"], rtol=0, atol=EXACT)
    np.testing.assert_allclose(run.model.state, reference.run["state"], rtol=1e-6, atol=EXACT)
    assert np.abs(run.model.weights - reference.run["start"]).max() > 0.02


def test_a_run_with_a_clip_of_its_own_ends_where_tensorflow_ends(reference: Reference) -> None:
    last = reference.trained(clip=float(reference.clip))
    np.testing.assert_allclose(last, reference.run["clipped"], rtol=0, atol=EXACT)
    assert np.linalg.norm(last - reference.run["last"]) > 0.05


def heavy(reference: Reference) -> dict[str, Any]:
    """All that a step may have: a pull towards weights that it did not begin with, a correction, momentum."""
    return {"momentum": float(reference.momentum), "anchor": reference.run["anchor"], "correction": reference.run["correction"]}


def test_a_run_with_an_anchor_a_correction_and_momentum_ends_where_tensorflow_ends(reference: Reference) -> None:
    last = reference.trained(**heavy(reference))
    np.testing.assert_allclose(last, reference.run["moved"], rtol=0, atol=10 * EXACT)
    for name in heavy(reference):
        without = reference.trained(**{key: value for key, value in heavy(reference).items() if key != name})
        assert np.abs(without - last).max() > 1e-3, name


@pytest.mark.parametrize("mu", [0.0, 0.5])
@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_run_in_chunks_of_steps_gives_the_bits_of_one_call(reference: Reference, mu: float, clip: float | None, momentum: float) -> None:
    rng = np.random.default_rng(int(10 * mu + 100 * momentum))
    given: dict[str, Any] = {"config": replace(reference.config, proximal_mu=mu), "clip": clip, "momentum": momentum}
    for more in ({}, {name: reference.run[name] for name in ("anchor", "correction")}):
        whole = reference.begin(**given, **more)
        whole.advance(whole.left)
        assert whole.left == 0
        for _ in range(4):
            parts, calls = reference.begin(**given, **more), 0
            while parts.left:
                parts.advance(int(rng.integers(1, 40)))
                calls += 1
            assert calls > 2
            np.testing.assert_array_equal(parts.model.weights, whole.model.weights)
            np.testing.assert_array_equal(parts.model.state, whole.model.state)


def test_with_nothing_added_it_gives_the_bits_that_clients_of_release_0_1_get(reference: Reference) -> None:
    former = reference.graph.manifest.former
    if former is None:
        assert "fit" not in reference.runtime.signatures
        return
    for mu in (0.0, 0.1):
        config = replace(reference.config, proximal_mu=mu)
        old = Run(
            reference.runtime,
            former,
            reference.windows,
            Model(reference.run["start"], reference.graph.state),
            reference.minibatches,
            config,
        )
        old.advance(1)
        assert old.left == 0, "its pull is towards what a call begins with: it is never cut"
        np.testing.assert_array_equal(reference.trained(config=config), old.model.weights)


@pytest.mark.parametrize("given", [{"momentum": 0.9}, {"clip": 1.0}, {"anchor": np.zeros(1)}, {"correction": np.zeros(1)}])
def test_what_a_graph_of_format_1_cannot_do_is_refused(reference: Reference, given: dict[str, Any]) -> None:
    former = replace(reference.graph.manifest, declared=None)
    with pytest.raises(TrainingFault, match="of format 1, which takes no anchor, correction, momentum or clip; export it again"):
        Run(reference.runtime, former, reference.windows, Model(reference.run["start"], reference.graph.state), reference.minibatches,
            reference.config, **given)  # fmt: skip


def test_no_step_is_longer_than_its_clip(reference: Reference) -> None:
    start, windows = reference.run["start"], reference.windows
    inputs, targets = ({name: 1e6 * array for name, array in part.items()} for part in (windows.inputs, windows.targets))
    wild = Windows(inputs, targets, windows.time)
    config = replace(reference.config, proximal_mu=0.0)
    for clip in (0.0, 0.25, 3.0):
        moved = reference.trained(slice(0, 1), data=wild, clip=clip, config=replace(config, learning_rate=1.0)) - start
        assert np.linalg.norm(moved) <= clip * 1.0001
    whole = reference.trained(data=wild, config=config) - start
    assert np.linalg.norm(whole) <= config.learning_rate * len(reference.run["idx"]) * 1.0001


def test_forecasts_and_measures_are_tensorflows(reference: Reference) -> None:
    model, data = reference.model(reference.run["last"], reference.run["state"]), reference.windows
    first = reference.graph.manifest.interface.outputs[0].name
    np.testing.assert_allclose(reference.runtime("infer", **data.inputs, **model)[first], reference.run["forecast"], rtol=1e-5, atol=1e-5)
    measured = reference.runtime("evaluate", **data.inputs, **data.targets, sw=np.ones(len(data), np.float32), **model)
    np.testing.assert_allclose([measured[name] for name in MEASURES], reference.run["measures"], rtol=2e-5)


def test_a_masked_row_changes_nothing(reference: Reference) -> None:
    if reference.graph.state.size:
        pytest.skip("its layers see the whole batch, masked rows too")
    idx = reference.run["idx"][:4]
    sw = np.ones(idx.shape, np.float32)
    sw[:, 5:] = 0
    whole, short = (reference.trained(minibatches=(idx[:, :rows], sw[:, :rows])) for rows in (idx.shape[1], 5))
    np.testing.assert_allclose(whole, short, rtol=0, atol=1e-7)


def test_mu_pulls_towards_the_anchor(reference: Reference) -> None:
    start, other = reference.run["start"], reference.run["anchor"]
    for anchor in (None, start, other):
        ends = [reference.trained(anchor=anchor, config=replace(reference.config, proximal_mu=mu)) for mu in (0.0, 1.0, 10.0)]
        far = [np.linalg.norm(end - (start if anchor is None else anchor)) for end in ends]
        assert far[0] > far[1] > far[2] > 0


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_any_number_of_windows_steps_and_rows_a_batch_fits(reference: Reference, rows: int) -> None:
    data, idx = reference.windows[:rows], np.zeros((rows, rows), np.int32)
    assert np.isfinite(reference.trained(data=data, minibatches=(idx, np.ones(idx.shape, np.float32)))).all()
    first = reference.graph.manifest.interface.outputs[0]
    assert reference.runtime("infer", **data.inputs, **reference.model(reference.run["start"]))[first.name].shape == (rows, *first.shape)


def test_no_step_leaves_the_weights_alone(reference: Reference) -> None:
    np.testing.assert_array_equal(reference.trained(slice(0, 0)), reference.run["start"])
