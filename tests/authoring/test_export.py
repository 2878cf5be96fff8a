"""What cannot be exported is refused by name, and a graph whose numbers are wrong does not leave the exporter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

import keras
import tensorflow as tf

from bramble_protocol.interface import Value
from bramble_server.authoring.export import ExportError, export
from bramble_server.authoring.export.check import check
from bramble_server.authoring.export.convert import convert
from bramble_server.authoring.export.program import Program
from bramble_server.tasks.climate import Climate
from tests.authoring.models import Example, L, Layers, Several
from tests.authoring.references import built

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Unused(keras.layers.Layer):  # type: ignore[misc]
    """A layer whose weight leads nowhere."""

    def build(self, shape: Any) -> None:
        self.idle = self.add_weight(shape=(3,), name="idle")

    def call(self, x: Any) -> Any:
        return x


class Digamma(keras.layers.Layer):  # type: ignore[misc]
    """A layer that no runtime on a Pi can compute."""

    def call(self, x: Any) -> Any:
        return tf.math.digamma(x * x + 1.0)


class Hue(keras.layers.Layer):  # type: ignore[misc]
    """A layer that TensorFlow itself cannot differentiate."""

    def call(self, x: Any) -> Any:
        return tf.raw_ops.AdjustHue(images=x, delta=0.1)


REFUSED: dict[str, tuple[Layers, str]] = {
    "noise": (
        lambda: [L.Flatten(), L.Dense(4), L.GaussianNoise(0.5)],
        "gaussian_noise.*: this layer draws random numbers",
    ),
    "dropout inside": (lambda: [L.GRU(4, dropout=0.5)], "gru.*: this layer draws random numbers .* take a Dropout layer for it"),
    "long GRU": (lambda: [L.UpSampling1D(6), L.GRU(4)], r"gru.*: a recurrent layer of 144 steps is not unrolled .* 128 at most"),
    "gelu": (lambda: [L.Flatten(), L.Dense(4, "gelu")], r"Erfc \(layer dense.*\): not among .* approximate=True"),
    "unknown operation": (lambda: [L.Flatten(), L.Dense(4), Digamma()], "Digamma.*: not among .*; replace the layer"),
    "operation without a gradient": (
        lambda: [L.Flatten(), L.Dense(12), L.Reshape((2, 2, 3)), Hue(), L.Flatten()],
        r"^AdjustHue \(.*AdjustHue\): this operation has no gradient; replace the layer or function that uses it",
    ),
    "overlapping pool": (
        lambda: [L.Conv1D(4, 3), L.MaxPooling1D(3, strides=1), L.Flatten()],
        "MaxPool .*: .* use strides equal to pool_size",
    ),
    "weight that leads nowhere": (lambda: [L.Flatten(), L.Dense(4), Unused()], "idle: the loss does not depend on this weight"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_be_exported_is_refused_by_name_with_the_remedy(name: str) -> None:
    layers, text = REFUSED[name]
    with pytest.raises(ExportError, match=text):
        export(Example("refused", layers))


def task_with(model: Any) -> Climate:
    class Other(Climate):
        def model(self) -> Any:
            return model

    return Other()


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (
            lambda: keras.Sequential([L.Input((12, 3)), L.Flatten(), L.Dense(1)]),
            r"maps \(None, 12, 3\) to \(None, 1\); it must map \(None, 24, 3\)",
        ),
        (lambda: keras.Sequential([L.Input((24, 3)), L.Flatten(), L.Dense(2)]), r"to \(None, 2\); it must map"),
        (lambda: keras.Sequential([L.Input((24, 3)), L.Flatten(), L.Dense(1, trainable=False)]), "no trainable weights"),
    ],
)
def test_a_model_of_another_shape_than_the_task_is_refused(model: Any, text: str) -> None:
    with pytest.raises(ExportError, match=text):
        export(task_with(model()))


@pytest.fixture(scope="module")
def program() -> Program:
    task = Climate()
    return Program(task, built(task))


def test_the_check_passes_a_faithful_graph(program: Program) -> None:
    signatures = program.signatures()
    check(convert({name: signatures[name] for name in ("infer", "descend")}), program)


class Careless(Program):
    """Forgets the mask of padding rows."""

    def gradients(self, given: Any, sw: Any, weights: Any, state: Any) -> Any:
        return super().gradients(given, tf.ones_like(sw), weights, state)


class Offset(Climate):
    """Forecasts a little too much."""

    def forecast(self, x: Any, output: Any) -> Any:
        return super().forecast(x, output) + 0.1


def test_the_check_catches_a_training_step_that_is_not_tensorflows(program: Program) -> None:
    signatures = Careless(program.task, program.model).signatures()
    with pytest.raises(ExportError, match="descend: the converted graph differs from TensorFlow"):
        check(convert({name: signatures[name] for name in ("infer", "descend")}), program)


class Forgetful(Program):
    """Keeps no state."""

    def gradients(self, given: Any, sw: Any, weights: Any, state: Any) -> Any:
        return (*super().gradients(given, sw, weights, state)[:2], state)


def test_the_check_catches_a_state_that_is_not_tensorflows() -> None:
    forgetful = Forgetful(Several(), built(Several()))
    signatures = forgetful.signatures()
    with pytest.raises(ExportError, match="descend: the converted graph differs from TensorFlow"):
        check(convert({name: signatures[name] for name in ("infer", "descend")}), forgetful)


def test_a_task_that_release_0_1_could_learn_is_exported_for_its_clients_too_and_no_other(program: Program) -> None:
    assert {"fit", "descend"} <= program.signatures().keys()
    assert program.manifest.former is not None
    for task in (Several(), Example("normalised", lambda: [L.Flatten(), L.BatchNormalization()])):
        other = Program(task, built(task))
        assert "fit" not in other.signatures()
        assert other.manifest.former is None


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another name": (
        {"inputs": (replace(Several.inputs[0], name="now"), Several.inputs[1])},
        r"the model takes .*'recent'.* must take .*'now'",
    ),
    "another shape": ({"inputs": (replace(Several.inputs[0], shape=(5, 2)), Several.inputs[1])}, r"must take .*\(None, 5, 2\)"),
    "an output that is not forecast": (
        {"outputs": (*Several.outputs, Value("wind", (), "float32"))},
        r"forecast of wind should be float32",
    ),
    "an output of another shape": ({"outputs": (Value("soon", (3,), "float32"),)}, r"forecast of soon should be float32 of shape \(N, 3\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_declaration_that_the_model_does_not_keep_is_refused(name: str) -> None:
    declared, text = WRONG[name]
    with pytest.raises(ExportError, match=text):
        export(type("Wrong", (Several,), declared)())


def test_a_loss_that_is_no_value_a_row_is_refused() -> None:
    class Mean(Climate):
        def loss(self, x: Any, y: Any, output: Any) -> Any:
            return tf.reduce_mean(super().loss(x, y, output))

    with pytest.raises(ExportError, match="one value a row"):
        export(Mean())


def test_the_check_catches_a_forecast_that_is_not_tensorflows(program: Program) -> None:
    signatures = Program(Offset(), program.model).signatures()
    with pytest.raises(ExportError, match=r"infer: the converted graph differs from TensorFlow by 0\.1"):
        check(convert({name: signatures[name] for name in ("infer", "descend")}), program)
