"""A task and its Keras model as the functions that a graph carries.

They are functional: weights come in as arguments and leave as results, so a client holds no variables and no state. Of the
ways to get a training step through the converter, the one used is ``stateless_call`` and ``tf.gradients`` with the overrides
of ``bramble_server.authoring.export.gradients``: ordinary Keras models, built-in operations only, every batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bramble_protocol.layout import Layout, Weights
from bramble_server.authoring.export import convolution  # noqa: F401  (registers its gradients)
from bramble_server.authoring.export.gradients import OVERRIDES, ExportError, Tensor, no_gradient, tf
from bramble_server.tasks.base import Task


class Program:
    """The functions ``infer``, ``evaluate``, ``train``, ``fit`` and others of a task, see ``bramble_protocol.graph.Manifest``.

    Parameters
    ----------
    task
        Says what the model's output means, and what training minimises.
    model
        A Keras model, built; its weights become the graph's initial ones. Weights that are not trainable become constants.

    Raises
    ------
    ExportError
        If the model's input or output is not the task's, or it has no trainable weights.
    """

    def __init__(self, task: Task, model: Any) -> None:
        expected = (None, task.window, len(task.channels))
        if model.input_shape != expected or model.output_shape not in ((None,), (None, 1)):
            raise ExportError(
                f"{task.name}: the model maps {model.input_shape} to {model.output_shape}; "
                f"it must map {expected}, windows of this task's channels, to (None, 1)"
            )
        if not model.trainable_variables:
            raise ExportError(f"{task.name}: the model has no trainable weights")
        self.task, self.model = task, model
        self.layout = Layout.of([(variable.path, variable.shape) for variable in model.trainable_variables])
        self._fixed = [variable.numpy() for variable in model.non_trainable_variables]

    def initial(self) -> Weights:
        """Return the model's weights as one flat vector, shape (layout.size,)."""
        return self.layout.join([np.asarray(variable.numpy(), np.float32) for variable in self.model.trainable_variables])

    def signatures(self) -> dict[str, Any]:
        """Return them as concrete functions, by the names that clients call."""

        def spec(name: str, *shape: int | None, dtype: Any = tf.float32) -> Any:
            return tf.TensorSpec(shape, dtype, name)

        w = [spec(f"w{i}", *tensor.shape) for i, tensor in enumerate(self.layout.tensors)]
        x = spec("x", None, self.task.window, len(self.task.channels))
        y, sw, lr, mu, clip = spec("y", None), spec("sw", None), spec("lr"), spec("mu"), spec("clip")
        picks, masks = spec("idx", None, None, dtype=tf.int32), spec("sw", None, None)
        arguments = {
            "infer": (self.infer, [x, *w]),
            "evaluate": (self.evaluate, [x, y, sw, *w]),
            "train": (self.train, [x, y, sw, lr, *w]),
            "fit": (self.fit, [x, y, picks, masks, lr, mu, *w]),
            "fit_clipped": (self.fit_clipped, [x, y, picks, masks, lr, mu, clip, *w]),
        }
        if type(self.task).doubt is not Task.doubt:
            arguments["doubt"] = (self.doubt, [x, y])
        return {
            name: tf.function(body, input_signature=specs, autograph=False).get_concrete_function()
            for name, (body, specs) in arguments.items()
        }

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
        shorter = clipped(gradients, self.task.clip_norm)
        return _results(loss, [a - lr * g for a, g in zip(w, shorter, strict=True)])

    def fit(self, x: Tensor, y: Tensor, idx: Tensor, sw: Tensor, lr: Tensor, mu: Tensor, *w: Tensor) -> dict[str, Tensor]:
        """Train over all minibatches, no gradient longer than the task's ``clip_norm``: what TensorFlow Lite has for a default."""
        return self.fit_clipped(x, y, idx, sw, lr, mu, tf.constant(self.task.clip_norm), *w)

    def fit_clipped(
        self, x: Tensor, y: Tensor, idx: Tensor, sw: Tensor, lr: Tensor, mu: Tensor, clip: Tensor, *w: Tensor
    ) -> dict[str, Tensor]:
        """Train over all minibatches, pulled towards the weights that came in (FedProx, Li et al. 2020, eq. 2)."""
        steps = tf.shape(idx)[0]

        def step(i: Tensor, total: Tensor, *now: Tensor) -> Any:
            rows, mask = tf.gather(idx, i), tf.gather(sw, i)
            loss, gradients = self.gradients(tf.gather(x, rows), tf.gather(y, rows), mask, now)
            shorter = clipped(gradients, clip)
            after = [a - lr * (g + mu * (a - start)) for a, g, start in zip(now, shorter, w, strict=True)]
            return (i + 1, total + loss, *after)

        _, total, *after = tf.while_loop(lambda i, *_: i < steps, step, (tf.constant(0), tf.constant(0.0), *w))
        return _results(total / tf.cast(tf.maximum(steps, 1), tf.float32), after)

    def doubt(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Say of each window how far it lies from what can be."""
        return {"doubt": self.task.doubt(x, y)}

    def output(self, x: Tensor, weights: Sequence[Tensor], training: bool = False) -> Tensor:
        """Run the model, shape (N,).

        Raises
        ------
        ExportError
            If a layer keeps state of its own while it trains: that state would stay behind on each client.
        """
        fixed = [tf.constant(value) for value in self._fixed]
        y, after = self.model.stateless_call(list(weights), fixed, x, training=training)
        for variable, old, new in zip(self.model.non_trainable_variables, fixed, after, strict=True):
            if new is not old:
                raise ExportError(
                    f"{variable.path}: its layer changes this state while it trains, which no server would average; "
                    "take LayerNormalization for BatchNormalization, and leave Dropout and other random layers out"
                )
        return tf.reshape(y, [-1])

    def gradients(self, x: Tensor, y: Tensor, sw: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the weighted mean of the task's loss, and its gradient by each weight.

        Raises
        ------
        ExportError
            If an operation has no gradient, or the loss does not depend on a weight.
        """
        with tf.compat.v1.get_default_graph().gradient_override_map(OVERRIDES):
            loss = _mean(self.task.loss(x, y, self.output(x, weights, training=True)), sw)
        try:
            found = tf.gradients(loss, list(weights))
        except LookupError as error:
            raise no_gradient(error) from error
        for variable, gradient in zip(self.model.trainable_variables, found, strict=True):
            if gradient is None:
                raise ExportError(f"{variable.path}: the loss does not depend on this weight; take its layer out")
        return loss, found


def clipped(gradients: Sequence[Tensor], most: Tensor) -> list[Tensor]:
    """Shorten a gradient, all its tensors alike, to the length ``most`` if it is longer (Pascanu et al. 2013, algorithm 1).

    One whose length overflows becomes zero, not NaN: a run then stands still where it would have exploded.
    """
    length = tf.sqrt(tf.add_n([tf.reduce_sum(g * g) for g in gradients]))
    return [g * (most / tf.maximum(length, most)) for g in gradients]


def _mean(values: Tensor, sw: Tensor) -> Tensor:
    # an all-masked batch has mean 0 rather than none
    return tf.reduce_sum(values * sw) / tf.maximum(tf.reduce_sum(sw), 1e-12)


def _results(loss: Tensor, weights: Sequence[Tensor]) -> dict[str, Tensor]:
    return {"loss": loss, **{f"next_w{i}": weight for i, weight in enumerate(weights)}}
