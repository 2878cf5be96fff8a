"""A task of one's own: from the file that ``bramble task new`` writes, or a saved model, to a graph; and what is refused on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

import keras

from bramble import checking, starting, task
from bramble_client.learn.fitting import Model, Run
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.windows import Windows
from bramble_protocol import BrambleError
from bramble_protocol.interface import ADAM
from bramble_protocol.layout import Layout
from bramble_protocol.messages import TrainConfig
from bramble_server.authoring import own
from bramble_server.authoring.export import export
from bramble_server.tasks import Task, Terms
from tests.authoring.models import Example, L

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def saved(folder: Path, name: str, model: Any, change: Callable[[str], str] = lambda text: text) -> Path:
    """Write the TOML to begin with and a model beside it; return its path."""
    starting.new(name, saved=True)
    path = folder / f"{name}.toml"
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    model.save(folder / f"{name}.keras")
    return path


def small(*layers: Any, window: int = 24) -> Any:
    return keras.Sequential([L.Input((window, 2)), L.Flatten(), L.Dense(4, "tanh"), *layers, L.Dense(1)])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_one_begins_with_checks_and_exports_as_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    starting.new("half-day", saved=False)
    checking.check(here / "half_day.py")
    said = capsys.readouterr().out
    assert "half-day: Temperature 1 hours ahead" in said
    assert "ai_edge_litert" in said
    assert "20 steps one by one as Keras takes them" in said
    task.export("half_day.py")
    written = task.read_graph(here / "half_day.tflite").manifest
    assert (written.task, written.target, written.horizon) == ("half-day", "temperature", 1)
    assert task.own_graph("half_day.py", Terms(3)).manifest.horizon == 3
    with pytest.raises(BrambleError, match=r"HalfDay in half_day\.py takes no window; let its __init__ have one"):
        task.own_graph("half_day.py", Terms(window=3))


def test_a_saved_model_with_a_few_lines_of_toml_is_a_task_and_begins_with_its_weights(here: Path) -> None:
    model = small()
    path = saved(here, "power", model, lambda text: text.replace("5.0  ", "4.0  ").replace('"squared"', '"huber"'))
    graph = task.own_graph(str(path))
    np.testing.assert_array_equal(graph.initial, np.concatenate([w.numpy().ravel() for w in model.trainable_variables]))
    x = np.random.default_rng(0).normal(15, 5, (6, 24, 2)).astype(np.float32)
    runtime, weights = Runtime(graph.flatbuffer), {f"w{i}": w for i, w in enumerate(graph.manifest.layout.split(graph.initial))}
    scaled = (x - np.array([12, 50], np.float32)) / np.array([20, 50], np.float32)
    expected = x[:, -1, 0] + 4 * model(scaled).numpy()[:, 0]
    np.testing.assert_allclose(runtime("infer", x=x, **weights)["y"], expected, atol=1e-5)
    y = expected + np.array([0.4, -0.4, 40, -40, 4, 0], np.float32)
    told = runtime("evaluate", x=x, y=y, sw=np.ones(6, np.float32), **weights)
    off = np.abs((y - expected) / 4)
    assert float(told["loss"]) == pytest.approx(np.mean(np.where(off < 1, off**2 / 2, off - 0.5)), rel=1e-4)


def test_a_saved_model_may_be_trained_by_adam(here: Path) -> None:
    path = saved(here, "power", small(), lambda text: text.replace('"sgd"', '"adam"'))
    assert own.read(path).interface(Layout(())).slots == ADAM


class Custom(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return x


class Root(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return keras.ops.sqrt(x - 1e6)


@pytest.mark.parametrize(
    ("model", "change", "sentence"),
    [
        (lambda: small(Custom(name="odd")), ("", ""), r"layer odd is of a class of its own, Custom; build it of Keras's own layers"),
        (lambda: small(L.Lambda(lambda x: x, name="free")), ("", ""), "layer free is a Lambda, whose code is not run from a file"),
        (lambda: small(window=12), ("", ""), r"takes \(None, 12, 2\); by power.toml it must take \(None, 24, 2\)"),
        (small, ('target = "temperature"', 'target = "power"'), "target: 'power' is not one of its channels"),
        (small, ("horizon = 3", "horizn = 3"), "horizn is not a setting of a task; known are name"),
        (small, ('"squared"', '"cubed"'), "loss: Input should be 'squared', 'absolute' or 'huber'"),
        (small, ('step = "1h"', 'step = "soon"'), "step: expected a duration"),
        (small, ('unit = "°C"', "unit = 3"), "channels.temperature.unit"),
        (small, ("power.keras", "other.keras"), "cannot read .*other.keras"),
        (small, ('name = "power"', "name = "), "is not TOML"),
    ],
)
def test_a_saved_model_that_is_no_task_is_refused_by_name(
    model: Callable[[], Any], change: tuple[str, str], sentence: str, here: Path
) -> None:
    path = saved(here, "power", model(), lambda text: text.replace(*change) if change[0] else text)
    with pytest.raises(BrambleError, match=sentence):
        own.read(path).model()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("class Power(Task)", "class Power(object)"), "must declare one class that is a .*Task, and declares none"),
        (("    target =", "    aim ="), "Power in .*power.py lacks target"),
        (("def loss(", "def cost("), "Power in .*power.py lacks loss"),
        (("from typing", "form typing"), "power.py, line 7: invalid syntax"),
        (("CHANGES = (5.0, 20.0)", "CHANGES = 1 / 0"), "line 15: ZeroDivisionError"),
        (('Metric("RMSE", "°C", "sqrt"', 'Metric("RMSE", "°C", "cube"'), "manifest.metric.transform: expected 'sqrt' or 'none'"),
    ],
)
def test_a_file_that_declares_no_whole_task_is_refused_by_name(change: tuple[str, str], sentence: str, here: Path) -> None:
    starting.new("power", saved=False)
    path = here / "power.py"
    path.write_text(path.read_text("utf-8").replace(*change), "utf-8")
    with pytest.raises(BrambleError, match=sentence):
        own.read(path)


class Steep(keras.layers.Layer):  # type: ignore[misc]
    """Whose slope at zero, where it is for as long as nothing was trained, is none."""

    def call(self, x: Any) -> Any:
        return keras.ops.sqrt(x * 0.0)


@pytest.mark.parametrize(
    ("layer", "what"), [(Root, "infer: y is NaN or infinite for"), (Steep, r"(fit|descend): .*kernel is NaN or infinite after")]
)
def test_a_model_that_is_nan_is_refused_by_what_is(layer: Callable[[], Any], what: str) -> None:
    with pytest.raises(BrambleError, match=f"{what} .* scale and clip"):
        export(Example("rooted", lambda: [L.Flatten(), L.Dense(4), layer(), L.Dense(4)]))


def test_a_name_that_is_none_or_is_there_is_refused(here: Path) -> None:
    starting.new("power", saved=False)
    for name, sentence in (("power", "File exists"), ("Power", "the first no '-'"), ("../x", "the first no '-'")):
        with pytest.raises(BrambleError, match=sentence):
            starting.new(name, saved=False)


class ByAdam(Example):
    """By Adam, from layers that all have a gradient."""

    optimizer = "adam"

    def __init__(self) -> None:
        super().__init__("by-adam", lambda: [L.Flatten(), L.Dense(5, "tanh")])


def test_adam_steps_as_keras_has_it_in_one_call_or_in_several(here: Path) -> None:
    adam: Task = ByAdam()
    graph = export(adam)
    assert graph.manifest.former is None, "release 0.1 would step otherwise"
    differences = list(checking.steps(adam, graph, Runtime(graph.flatbuffer)))
    assert max(differences) < 1e-3
    rng = np.random.default_rng(1)
    x, y = rng.normal(10, 5, (30, 24, 3)).astype(np.float32), rng.normal(10, 5, 30).astype(np.float32)
    keras.utils.set_random_seed(adam.seed)
    model = adam.model()
    optimizer = keras.optimizers.Adam(0.01, global_clipnorm=adam.clip_norm)
    idx = rng.integers(0, 30, (12, 8)).astype(np.int32)
    import tensorflow as tf

    for rows in idx:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(adam.loss(x[rows], y[rows], tf.squeeze(model(x[rows]), 1)))
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True))
    expected = np.concatenate([variable.numpy().ravel() for variable in model.trainable_variables])
    ends = []
    for parts in ((12,), (5, 7)):
        data = Windows({"x": x}, {"y": y}, np.arange(30, dtype=float))
        run = Run(
            Runtime(graph.flatbuffer), graph.manifest, data, Model(graph.initial, graph.state), (idx, np.ones((12, 8), np.float32)),
            TrainConfig(learning_rate=0.01),
        )  # fmt: skip
        for part in parts:
            run.advance(part)
        ends.append(run.model.weights)
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_allclose(ends[0], expected, atol=2e-5)
