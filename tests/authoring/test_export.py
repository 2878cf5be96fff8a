"""What cannot be exported is refused by name, and a graph whose numbers are wrong does not leave the exporter."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

import keras
import tensorflow as tf

from bramble_server.authoring.export import ExportError, export
from bramble_server.authoring.export.check import check
from bramble_server.authoring.export.convert import convert
from bramble_server.authoring.export.program import Program
from bramble_server.tasks.climate import Climate
from tests.authoring.models import Example, L, Layers
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


REFUSED: dict[str, tuple[Layers, str]] = {
    "dropout": (lambda: [L.Flatten(), L.Dense(4), L.Dropout(0.5)], "seed_generator_state: .* leave Dropout .* out"),
    "batch normalization": (lambda: [L.Flatten(), L.Dense(4), L.BatchNormalization()], "moving_mean: .* take LayerNormalization"),
    "rolled GRU": (lambda: [L.GRU(4)], "TensorList.*: not among .* built-in operations; .*unroll=True"),
    "gelu": (lambda: [L.Flatten(), L.Dense(4, "gelu")], "Erfc: not among .* approximate=True"),
    "unknown operation": (lambda: [L.Flatten(), L.Dense(4), Digamma()], "Digamma.*: not among .*; replace the layer"),
    "strided convolution": (lambda: [L.Conv1D(4, 3, strides=2), L.Flatten()], "Conv2D .*: .* use stride 1 and a pooling layer"),
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
    check(convert({name: signatures[name] for name in ("infer", "fit")}), program)


class Careless(Program):
    """Forgets the mask of padding rows."""

    def gradients(self, x: Any, y: Any, sw: Any, weights: Any) -> Any:
        return super().gradients(x, y, tf.ones_like(sw), weights)


class Offset(Climate):
    """Forecasts a little too much."""

    def forecast(self, x: Any, output: Any) -> Any:
        return super().forecast(x, output) + 0.1


def test_the_check_catches_a_training_step_that_is_not_tensorflows(program: Program) -> None:
    signatures = Careless(program.task, program.model).signatures()
    with pytest.raises(ExportError, match="fit: the converted graph differs from TensorFlow"):
        check(convert({name: signatures[name] for name in ("infer", "fit")}), program)


def test_the_check_catches_a_forecast_that_is_not_tensorflows(program: Program) -> None:
    signatures = Program(Offset(), program.model).signatures()
    with pytest.raises(ExportError, match=r"infer: the converted graph differs from TensorFlow by 0\.1"):
        check(convert({name: signatures[name] for name in ("infer", "fit")}), program)
