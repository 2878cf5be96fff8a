"""A task's Keras model as a graph: one ``.tflite`` with its whole training loop inside. Needs TensorFlow (extra ``authoring``).

The graph is functional: weights come in as arguments and leave as results, so a client holds no variables and no state. Of
the ways to get a training step through the converter the one used is ``stateless_call`` and ``tf.gradients`` with the
overrides of ``server.gradients``: ordinary Keras models, built-in operations only, every batch size.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.graph import GraphFile
from protocol.layout import Layout
from server import convolution  # noqa: F401  (registers its gradients)
from server.gradients import OVERRIDES, ExportError, Tensor, tf
from server.tasks.base import Task

keras: Any = importlib.import_module("keras")

REMEDIES = {
    "StatelessRandomUniform": "leave Dropout and other random layers out",
    "RandomUniform": "leave Dropout and other random layers out",
    "TensorListReserve": "build recurrent layers with unroll=True",
    "While": "build recurrent layers with unroll=True",
}


def export(task: Task) -> GraphFile:
    """Build, convert and pack a task's graph, with initial weights from the task's seed.

    Raises
    ------
    ExportError
        Naming the layer, weight or operation that cannot be exported and what to use instead.
    """
    keras.utils.set_random_seed(task.seed)
    model = task.model()
    return pack(task, model)


def pack(task: Task, model: Any) -> GraphFile:
    """Convert and pack a model that is already built, with the weights that it has."""
    program = Program(task, model)
    weights = [np.asarray(variable.numpy(), np.float32) for variable in model.trainable_variables]
    layout = Layout.of([(variable.path, variable.shape) for variable in model.trainable_variables])
    return GraphFile.pack(convert(program.signatures()), task.manifest(layout), layout.join(weights))


@dataclass
class Program:
    """A task and its model as the four functions that a graph carries."""

    task: Task
    model: Any

    def __post_init__(self) -> None:
        expected = (None, self.task.window, len(self.task.channels))
        if self.model.input_shape != expected or self.model.output_shape not in ((None,), (None, 1)):
            raise ExportError(
                f"{self.task.name}: the model maps {self.model.input_shape} to {self.model.output_shape}; "
                f"it must map {expected}, windows of this task's channels, to (None, 1)"
            )
        if not self.model.trainable_variables:
            raise ExportError(f"{self.task.name}: the model has no trainable weights")

    def output(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Run the model, shape (N,). What it does not train (moving statistics) is a constant of the graph."""
        fixed = [tf.constant(variable.numpy()) for variable in self.model.non_trainable_variables]
        return tf.reshape(self.model.stateless_call(list(weights), fixed, x, training=False)[0], [-1])

    def loss(self, x: Tensor, y: Tensor, sw: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Weighted mean of the task's loss."""
        return _mean(self.task.loss(x, y, self.output(x, weights)), sw)

    def gradients(self, x: Tensor, y: Tensor, sw: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the loss and its gradient by each weight."""
        with tf.compat.v1.get_default_graph().gradient_override_map(OVERRIDES):
            loss = self.loss(x, y, sw, weights)
        try:
            found = tf.gradients(loss, list(weights))
        except LookupError as error:
            raise ExportError(_no_gradient(str(error))) from error
        for variable, gradient in zip(self.model.trainable_variables, found, strict=True):
            if gradient is None:
                raise ExportError(f"{variable.path}: the loss does not depend on this weight; take its layer out")
        return loss, found

    def signatures(self) -> dict[str, Any]:
        """Return the concrete functions ``infer``, ``evaluate``, ``train`` and ``fit``, see ``protocol.graph.Manifest``."""

        def spec(name: str, *shape: int | None, dtype: Any = tf.float32) -> Any:
            return tf.TensorSpec(shape, dtype, name)

        shapes = [tuple(variable.shape) for variable in self.model.trainable_variables]
        w = [spec(f"w{i}", *shape) for i, shape in enumerate(shapes)]
        x = spec("x", None, self.task.window, len(self.task.channels))
        y, sw, lr, mu = spec("y", None), spec("sw", None), spec("lr"), spec("mu")
        picks, masks = spec("idx", None, None, dtype=tf.int32), spec("sw", None, None)
        arguments = {
            "infer": (self.infer, [x, *w]),
            "evaluate": (self.evaluate, [x, y, sw, *w]),
            "train": (self.train, [x, y, sw, lr, *w]),
            "fit": (self.fit, [x, y, picks, masks, lr, mu, *w]),
        }
        return {name: _function(body, specs) for name, (body, specs) in arguments.items()}

    def infer(self, x: Tensor, *w: Tensor) -> dict[str, Tensor]:
        """Forecast."""
        return {"y": self.task.forecast(x, self.output(x, w))}

    def evaluate(self, x: Tensor, y: Tensor, sw: Tensor, *w: Tensor) -> dict[str, Tensor]:
        """Measure."""
        output = self.output(x, w)
        rows = {
            "loss": self.task.loss(x, y, output),
            "error": self.task.error(y, self.task.forecast(x, output)),
            "baseline": self.task.baseline(x, y),
        }
        return {name: _mean(values, sw) for name, values in rows.items()}

    def train(self, x: Tensor, y: Tensor, sw: Tensor, lr: Tensor, *w: Tensor) -> dict[str, Tensor]:
        """Take one step of gradient descent."""
        loss, gradients = self.gradients(x, y, sw, w)
        return _results(loss, [a - lr * g for a, g in zip(w, gradients, strict=True)])

    def fit(self, x: Tensor, y: Tensor, idx: Tensor, sw: Tensor, lr: Tensor, mu: Tensor, *w: Tensor) -> dict[str, Tensor]:
        """Train over all minibatches, pulled towards the weights that came in (FedProx, Li et al. 2020, eq. 2)."""
        steps = tf.shape(idx)[0]

        def step(i: Tensor, total: Tensor, *now: Tensor) -> Any:
            rows, mask = tf.gather(idx, i), tf.gather(sw, i)
            loss, gradients = self.gradients(tf.gather(x, rows), tf.gather(y, rows), mask, now)
            after = [a - lr * (g + mu * (a - start)) for a, g, start in zip(now, gradients, w, strict=True)]
            return (i + 1, total + loss, *after)

        _, total, *after = tf.while_loop(lambda i, *_: i < steps, step, (tf.constant(0), tf.constant(0.0), *w))
        return _results(total / tf.cast(tf.maximum(steps, 1), tf.float32), after)


def convert(signatures: dict[str, Any]) -> bytes:
    """Turn concrete functions into one flatbuffer of built-in operations.

    Raises
    ------
    ExportError
        Naming the operations that are not built in.
    """
    module = tf.Module()
    with tempfile.TemporaryDirectory() as folder:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, folder, signatures=signatures, options=options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            return bytes(converter.convert())
        except Exception as error:
            raise ExportError(_not_built_in(str(error))) from error


def _function(body: Any, specs: Sequence[Any]) -> Any:
    return tf.function(body, input_signature=specs, autograph=False).get_concrete_function()


def _mean(values: Tensor, sw: Tensor) -> Tensor:
    # an all-masked batch has mean 0 rather than none
    return tf.reduce_sum(values * sw) / tf.maximum(tf.reduce_sum(sw), 1e-12)


def _results(loss: Tensor, weights: Sequence[Tensor]) -> dict[str, Tensor]:
    return {"loss": loss, **{f"next_w{i}": weight for i, weight in enumerate(weights)}}


def _no_gradient(text: str) -> str:
    kind = (re.findall(r"type: (\w+)", text) or re.findall(r": (\w+)", text) or ["an operation"])[0]
    return f"{kind}: TensorFlow has no gradient for this operation; replace the layer or function that uses it"


def _not_built_in(text: str) -> str:
    kinds = sorted(set(re.findall(r"'tf\.(\w+)' op", text)))
    if not kinds:
        return f"the converter refused the model: {text.strip().splitlines()[0][:300]}"
    remedies = {REMEDIES.get(kind, "replace the layer or function that uses it") for kind in kinds}
    return f"{', '.join(kinds)}: not among TensorFlow Lite's built-in operations; {'; '.join(sorted(remedies))}"
