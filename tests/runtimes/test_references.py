"""Both runtimes train as TensorFlow does: reference runs that TensorFlow recorded, step by step, must come out the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn.runtime import Runtime
from bramble_protocol.graph import GraphFile

FOLDER = Path(__file__).parent / "references"
CLIMATE = Path(__file__).parents[2] / "server/bramble_server/tasks/climate.tflite"
NAMES = ("climate", "conv", "gru")
EXACT = 1e-6
"""What 100 steps of float32 rounding, summed in another order, may leave; 1e-7 was seen."""


class Reference:
    """A graph, its recorded run, and the graph's signatures over flat weights."""

    def __init__(self, name: str) -> None:
        self.graph = GraphFile.read((CLIMATE if name == "climate" else FOLDER / f"{name}.tflite").read_bytes())
        self.runtime = Runtime(self.graph.flatbuffer)
        with np.load(FOLDER / f"{name}.npz") as file:
            self.run = dict(file)
        self.rate, self.mu, self.clip = self.run["settings"]

    def named(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {f"w{i}": tensor for i, tensor in enumerate(self.graph.manifest.layout.split(weights))}

    def flat(self, results: dict[str, np.ndarray]) -> np.ndarray:
        return self.graph.manifest.layout.join([results[f"next_w{i}"] for i in range(len(self.graph.manifest.layout.tensors))])

    def fit(self, weights: np.ndarray, steps: slice = slice(None), signature: str = "fit", **other: object) -> dict[str, np.ndarray]:
        picked = {"x": self.run["x"], "y": self.run["y"], "idx": self.run["idx"][steps], "sw": self.run["sw"][steps]}
        return self.runtime(signature, **{**picked, "lr": self.rate, "mu": self.mu, **other}, **self.named(weights))


@pytest.fixture(scope="module", params=NAMES)
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(request.param)


def test_the_graph_starts_from_the_recorded_weights(reference: Reference) -> None:
    np.testing.assert_array_equal(reference.graph.initial, reference.run["start"])


def test_one_step_is_tensorflows(reference: Reference) -> None:
    first = reference.flat(reference.fit(reference.run["start"], slice(0, 1)))
    np.testing.assert_allclose(first, reference.run["first"], rtol=0, atol=1e-7)
    assert np.abs(first - reference.run["start"]).max() > 1e-4


def test_a_hundred_steps_end_where_tensorflow_ends(reference: Reference) -> None:
    results = reference.fit(reference.run["start"])
    last = reference.flat(results)
    np.testing.assert_allclose(last, reference.run["last"], rtol=0, atol=EXACT)
    assert float(results["loss"]) == pytest.approx(float(reference.run["loss"]), rel=1e-5)
    assert np.abs(last - reference.run["start"]).max() > 0.02


def test_a_run_with_a_clip_of_its_own_ends_where_tensorflow_ends(reference: Reference) -> None:
    start = reference.run["start"]
    last = reference.flat(reference.fit(start, signature="fit_clipped", clip=reference.clip))
    np.testing.assert_allclose(last, reference.run["clipped"], rtol=0, atol=EXACT)
    assert np.linalg.norm(last - reference.run["last"]) > 0.05


def test_no_step_is_longer_than_its_clip(reference: Reference) -> None:
    start = reference.run["start"]
    wild = {"x": 1e6 * reference.run["x"], "y": 1e6 * reference.run["y"], "mu": 0.0, "lr": 1.0}
    for clip in (0.0, 0.25, 3.0):
        moved = reference.flat(reference.fit(start, slice(0, 1), "fit_clipped", clip=clip, **wild)) - start
        assert np.linalg.norm(moved) <= clip * 1.0001
    whole = reference.flat(reference.fit(start, **{**wild, "lr": reference.rate})) - start
    assert np.linalg.norm(whole) <= reference.rate * len(reference.run["idx"]) * 1.0001


def test_train_takes_the_step_that_fit_takes(reference: Reference) -> None:
    rows, mask = reference.run["idx"][0], reference.run["sw"][0]
    one = reference.runtime(
        "train",
        x=reference.run["x"][rows],
        y=reference.run["y"][rows],
        sw=mask,
        lr=reference.rate,
        **reference.named(reference.run["start"]),
    )
    # at the first step the FedProx term is zero, whatever mu is
    np.testing.assert_allclose(reference.flat(one), reference.run["first"], rtol=0, atol=1e-7)


def test_forecasts_and_measures_are_tensorflows(reference: Reference) -> None:
    weights = reference.named(reference.run["last"])
    x, y = reference.run["x"], reference.run["y"]
    np.testing.assert_allclose(reference.runtime("infer", x=x, **weights)["y"], reference.run["forecast"], rtol=1e-5, atol=1e-5)
    measured = reference.runtime("evaluate", x=x, y=y, sw=np.ones(len(y), np.float32), **weights)
    np.testing.assert_allclose([measured[name] for name in ("loss", "error", "baseline")], reference.run["measures"], rtol=2e-5)


def test_a_masked_row_changes_nothing(reference: Reference) -> None:
    rows = reference.run["idx"][:4]
    mask = np.ones(rows.shape, np.float32)
    mask[:, 5:] = 0
    whole = reference.flat(reference.fit(reference.run["start"], idx=rows, sw=mask))
    short = reference.flat(reference.fit(reference.run["start"], idx=rows[:, :5], sw=mask[:, :5]))
    np.testing.assert_allclose(whole, short, rtol=0, atol=1e-7)


def test_mu_pulls_towards_the_weights_that_came_in(reference: Reference) -> None:
    start = reference.run["start"]
    moved = [np.linalg.norm(reference.flat(reference.fit(start, mu=mu)) - start) for mu in (0.0, 1.0, 10.0)]
    assert moved[0] > moved[1] > moved[2] > 0


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_any_number_of_windows_steps_and_rows_a_batch_fits(reference: Reference, rows: int) -> None:
    x, y = reference.run["x"][:rows], reference.run["y"][:rows]
    idx = np.zeros((rows, rows), np.int32)
    results = reference.fit(reference.run["start"], x=x, y=y, idx=idx, sw=np.ones(idx.shape, np.float32))
    assert np.isfinite(reference.flat(results)).all()
    assert reference.runtime("infer", x=x, **reference.named(reference.run["start"]))["y"].shape == (rows,)


def test_no_step_leaves_the_weights_alone(reference: Reference) -> None:
    start = reference.run["start"]
    results = reference.fit(start, slice(0, 0))
    np.testing.assert_array_equal(reference.flat(results), start)
    assert float(results["loss"]) == 0
