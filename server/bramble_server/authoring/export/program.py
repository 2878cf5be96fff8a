"""A task and its Keras model as the functions that a graph carries.

They are functional: weights come in as arguments and leave as results, so a client holds no variables and no state. Of the
ways to get a training step through the converter, the one used is ``stateless_call`` and ``tf.gradients`` with the overrides
of ``bramble_server.authoring.export.gradients``: ordinary Keras models, built-in operations only, every batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bramble_protocol.graph import Manifest
from bramble_protocol.interface import MEASURES, SGD, Value
from bramble_protocol.layout import Layout, Weights
from bramble_server.authoring.export import convolution  # noqa: F401  (registers its gradients)
from bramble_server.authoring.export.gradients import OVERRIDES, ExportError, Tensor, no_gradient, tf
from bramble_server.authoring.export.layers import Draws, ready
from bramble_server.tasks.base import Task

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""Adam's, as Keras has them."""
Tensors = dict[str, Tensor]
Specs = list[Any]


class Program:
    """The functions ``infer``, ``evaluate``, ``descend`` and others of a task, see ``bramble_protocol.graph.Manifest``.

    Parameters
    ----------
    task
        Says what the model's output means, and what training minimises.
    model
        A Keras model, built; its weights become the graph's initial ones. Of weights that are not trainable, those that a layer changes
        while it trains become the graph's state, the others constants.

    Raises
    ------
    ExportError
        If the model's inputs or output are not the task's, it has no trainable weights, or a layer keeps a state that is no measure.
    """

    def __init__(self, task: Task, model: Any) -> None:
        self._draws = Draws()
        self.task, self.model = task, ready(model, self._draws)
        model = self.model
        self._check_shapes()
        if not model.trainable_variables:
            raise ExportError(f"{task.name}: the model has no trainable weights")
        self.layout = Layout.of([(variable.path, variable.shape) for variable in model.trainable_variables])
        self._fixed = [variable.numpy() for variable in model.non_trainable_variables]
        self._states = self._changing()
        variables = [model.non_trainable_variables[i] for i in self._states]
        state = [{"name": variable.path, "shape": list(variable.shape)} for variable in variables]
        self.manifest: Manifest = task.manifest(self.layout, Layout.from_wire(state, "state", least=0), self._draws.count)
        self.interface = self.manifest.interface

    def initial(self) -> Weights:
        """Return the model's weights as one flat vector, shape (layout.size,)."""
        return self.layout.join([np.asarray(variable.numpy(), np.float32) for variable in self.model.trainable_variables])

    def state(self) -> Weights:
        """Return what the state begins with as one flat vector, shape (interface.state.size,)."""
        return np.concatenate([np.empty(0, np.float32), *(np.ravel(self._fixed[i]) for i in self._states)])

    def signatures(self) -> dict[str, Any]:
        """Return them as concrete functions, by the names that clients call."""
        face = self.interface
        x = [_spec(item.name, None, *item.shape, dtype=item.dtype) for item in face.inputs]
        y = [_spec(item.name, None, *item.shape, dtype=item.dtype) for item in face.targets]
        w, state = _specs("w", self.layout), _specs("s", face.state)
        minibatches = [_spec("idx", None, None, dtype="int32"), _spec("sw", None, None)]
        minibatches += [_spec("draws", None, None, face.draws)] if face.draws else []
        slots = [spec for slot in face.slots for spec in _specs(slot, self.layout)]
        model = [*w, *_specs("anchor", self.layout), *_specs("correction", self.layout), *slots, *state]
        found = {
            "infer": _function(self.infer, [*x, *w, *state]),
            "evaluate": _function(self.evaluate, [*x, *y, _spec("sw", None), *w, *state]),
            "descend": _function(self.descend, [*x, *y, *minibatches, *map(_spec, ("lr", "mu", "momentum", "clip")), *model]),
        }
        if self.manifest.former:
            found["fit"] = _function(self.fit, [*x, *y, *minibatches, *map(_spec, ("lr", "mu")), *w])
        if type(self.task).doubt is not Task.doubt:
            found["doubt"] = _function(self.doubt, [*x, *y])
        return found

    def infer(self, given: Tensors) -> Tensors:
        """Forecast."""
        output, _ = self.output(given, self._tensors(given, "w"), self._state(given))
        return self._outputs(self.task.forecast(self._part(given, self.interface.inputs), output))

    def evaluate(self, given: Tensors) -> Tensors:
        """Measure."""
        x, y = self._part(given, self.interface.inputs), self._part(given, self.interface.targets)
        output, _ = self.output(given, self._tensors(given, "w"), self._state(given))
        forecast, sw = self.task.forecast(x, output), given["sw"]
        rows = (self.task.loss(x, y, output), self.task.error(y, forecast), self.task.baseline(x, y))
        found = {name: _mean(values, sw) for name, values in zip(MEASURES, rows, strict=True)}
        for target in [part for part in self.interface.targets if part.name in self.interface.measured]:
            mask = self.interface.mask_of(target)
            known = sw if mask is None else sw * tf.reduce_min(tf.reshape(given[mask.name], [-1, len(mask.horizons)]), 1)
            for name, all_rows in (("error", self.task.errors(y, forecast)), ("baseline", self.task.baselines(x, y))):
                found[f"{name}_{target.name}"] = _mean(all_rows[target.name], known)
        return found

    def descend(self, given: Tensors) -> Tensors:
        """Train over all minibatches by the task's optimizer, pulled towards the anchor (FedProx, Li et al. 2020, eq. 2).

        All weights move as one vector: a small model's step is mostly the cost of each operation, and these are few.
        """
        slots = self.interface.slots
        anchor, correction, *kept = (_flat(self._tensors(given, kind)) for kind in ("anchor", "correction", *slots))
        lr, mu, momentum, clip = (given[name] for name in ("lr", "mu", "momentum", "clip"))

        def step(slopes: list[Tensor], now: list[Tensor], kept: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            (w,) = now
            slope = _flat(clipped(slopes, clip)) + mu * (w - anchor) + correction
            if slots == SGD:
                v = momentum * kept[0] + slope
                return [w - lr * v], [v]
            mean, square, steps = BETA_1 * kept[0] + (1 - BETA_1) * slope, BETA_2 * kept[1] + (1 - BETA_2) * slope * slope, kept[2] + 1.0
            done = steps[0]
            unbiased = mean / (1.0 - tf.pow(BETA_1, done))
            spread = tf.sqrt(square / (1.0 - tf.pow(BETA_2, done)))
            return [w - lr * unbiased / (spread + EPSILON)], [mean, square, steps]

        loss, w, carried, state = self._loop(given, step, [_flat(self._tensors(given, "w"))], kept, self._split)
        told = {
            f"next_{slot}{i}": tensor for slot, vector in zip(slots, carried, strict=True) for i, tensor in enumerate(self._split([vector]))
        }
        return _results(loss, self._split(w)) | told | {f"next_s{i}": tensor for i, tensor in enumerate(state)}

    def fit(self, given: Tensors) -> Tensors:
        """Train as clients of release 0.1 ask for it: pulled towards the weights that came in, and the task's own clip."""
        start, lr, mu = self._tensors(given, "w"), given["lr"], given["mu"]

        def step(slopes: list[Tensor], now: list[Tensor], kept: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            shorter = clipped(slopes, tf.constant(self.task.clip_norm))
            return [w - lr * (g + mu * (w - a)) for w, g, a in zip(now, shorter, start, strict=True)], kept

        loss, w, _, _ = self._loop(given, step, start, [], lambda now: now)
        return _results(loss, w)

    def doubt(self, given: Tensors) -> Tensors:
        """Say of each window how far it lies from what can be."""
        return {"doubt": self.task.doubt(self._part(given, self.interface.inputs), self._part(given, self.interface.targets))}

    def output(
        self, given: Tensors, weights: Sequence[Tensor], state: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the model on the inputs among ``given``; return its output, shape (N,) for a single target, and the state after."""
        fixed = [tf.constant(value) for value in self._fixed]
        for i, tensor in zip(self._states, state, strict=True):
            fixed[i] = tensor
        self._draws.now = given.get("draws")
        y, after = self.model.stateless_call(list(weights), fixed, self._part(given, self.interface.inputs), training=training)
        return y if self.task.several else tf.reshape(y, [-1]), [after[i] for i in self._states]

    def gradients(
        self, given: Tensors, sw: Tensor, weights: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the weighted mean of the task's loss, its gradient by each weight, and the state after.

        Raises
        ------
        ExportError
            If an operation has no gradient, or the loss does not depend on a weight.
        """
        with tf.compat.v1.get_default_graph().gradient_override_map(OVERRIDES):
            output, after = self.output(given, weights, state, training=True)
            x, y = self._part(given, self.interface.inputs), self._part(given, self.interface.targets)
            loss = _mean(self.task.loss(x, y, output), sw)
        try:
            found = tf.gradients(loss, list(weights))
        except LookupError as error:
            raise no_gradient(error) from error
        for variable, gradient in zip(self.model.trainable_variables, found, strict=True):
            if gradient is None:
                raise ExportError(f"{variable.path}: the loss does not depend on this weight; take its layer out")
        return loss, found, after

    def _loop(
        self,
        given: Tensors,
        move: Callable[..., tuple[list[Tensor], list[Tensor]]],
        w: list[Tensor],
        kept: list[Tensor],
        weights: Callable[[list[Tensor]], list[Tensor]],
    ) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
        """Take a step for each minibatch; return the mean loss, and ``w``, ``kept`` and the state after the last.

        ``weights`` makes the layout's tensors of ``w``, and ``move`` the next ``w`` and ``kept`` of the gradient and those before.
        """
        idx, sw, state = given["idx"], given["sw"], self._state(given)
        steps, ends = tf.shape(idx)[0], np.cumsum([len(w), len(kept), len(state)])
        windows = [item.name for item in (*self.interface.inputs, *self.interface.targets)]

        def step(i: Tensor, total: Tensor, *carried: Tensor) -> Any:
            now, before, noted = (list(carried[low:high]) for low, high in zip((0, *ends), ends, strict=False))
            rows, mask = tf.gather(idx, i), tf.gather(sw, i)
            batch = {name: tf.gather(given[name], rows) for name in windows}
            batch |= {"draws": tf.gather(given["draws"], i)} if "draws" in given else {}
            loss, slopes, after = self.gradients(batch, mask, weights(now), noted)
            now, before = move(slopes, now, before)
            return (i + 1, total + loss, *now, *before, *after)

        begin = (tf.constant(0), tf.constant(0.0), *w, *kept, *state)
        _, total, *carried = tf.while_loop(lambda i, *_: i < steps, step, begin)
        mean = total / tf.cast(tf.maximum(steps, 1), tf.float32)
        return mean, carried[: ends[0]], carried[ends[0] : ends[1]], carried[ends[1] :]

    def _split(self, flat: list[Tensor]) -> list[Tensor]:
        """Return the layout's tensors of one vector."""
        parts = tf.split(flat[0], [tensor.size for tensor in self.layout.tensors])
        return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, self.layout.tensors, strict=True)]

    def _tensors(self, given: Tensors, kind: str) -> list[Tensor]:
        return [given[f"{kind}{i}"] for i in range(len(self.layout.tensors))]

    def _state(self, given: Tensors) -> list[Tensor]:
        return [given[f"s{i}"] for i in range(len(self._states))]

    def _part(self, given: Tensors, parts: Sequence[Value]) -> Any:
        """Return what a task's methods call ``x`` or ``y``."""
        return {part.name: given[part.name] for part in parts} if self.task.several else given[parts[0].name]

    def _outputs(self, forecast: Any) -> Tensors:
        found = forecast if self.task.several else {self.interface.outputs[0].name: forecast}
        for part in self.interface.outputs:
            shape = found[part.name].shape[1:] if part.name in found else None
            if shape != part.shape or found[part.name].dtype != part.dtype:
                raise ExportError(
                    f"{self.task.name}: its forecast of {part.name} should be {part.dtype} of shape (N, {', '.join(map(str, part.shape))})"
                )
        return {part.name: found[part.name] for part in self.interface.outputs}

    def _check_shapes(self) -> None:
        task, model = self.task, self.model
        if task.several:
            wanted: Any = {item.name: (None, *item.shape) for item in task.inputs}
            given: Any = {tensor.name: tuple(tensor.shape) for tensor in model.inputs}
            if given != wanted:
                raise ExportError(
                    f"{task.name}: the model takes {given}; it must take {wanted}, the task's inputs, each an Input of that name"
                )
            return
        wanted = (None, task.window, len(task.channels))
        if model.input_shape != wanted or model.output_shape not in ((None,), (None, 1)):
            raise ExportError(
                f"{task.name}: the model maps {model.input_shape} to {model.output_shape}; "
                f"it must map {wanted}, windows of this task's channels, to (None, 1)"
            )

    def _changing(self) -> list[int]:
        """Return which of the weights that are not trainable a layer changes while it trains."""
        fixed, given = [tf.constant(value) for value in self._fixed], [tf.zeros((2, *tensor.shape[1:])) for tensor in self.model.inputs]
        inputs = {tensor.name: zeros for tensor, zeros in zip(self.model.inputs, given, strict=True)} if self.task.several else given[0]
        _, after = self.model.stateless_call(self.model.trainable_variables, fixed, inputs, training=True)
        changed = [i for i, (old, new) in enumerate(zip(fixed, after, strict=True)) if new is not old]
        for variable in (self.model.non_trainable_variables[i] for i in changed):
            if variable.dtype != "float32":
                owners = [layer.name for layer in self.model._flatten_layers() if any(each is variable for each in layer.variables)]
                raise ExportError(
                    f"{owners[-1] if owners else variable.path}: this layer draws random numbers while it trains, which no graph can; "
                    "take a Dropout layer for it, or leave it out"
                )
        return changed


def clipped(gradients: Sequence[Tensor], most: Tensor) -> list[Tensor]:
    """Shorten a gradient, all its tensors alike, to the length ``most`` if it is longer (Pascanu et al. 2013, algorithm 1).

    One whose length overflows becomes zero, not NaN: a run then stands still where it would have exploded.
    """
    length = tf.sqrt(tf.add_n([tf.reduce_sum(g * g) for g in gradients]))
    return [g * (most / tf.maximum(length, most)) for g in gradients]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)


def _mean(values: Tensor, sw: Tensor) -> Tensor:
    if values.shape.rank != 1:
        raise ExportError("a task's loss, error and baseline give one value a row, shape (N,): the exporter takes the mean")
    # an all-masked batch has mean 0 rather than none
    return tf.reduce_sum(values * sw) / tf.maximum(tf.reduce_sum(sw), 1e-12)


def _results(loss: Tensor, weights: Sequence[Tensor]) -> Tensors:
    return {"loss": loss, **{f"next_w{i}": weight for i, weight in enumerate(weights)}}


def _spec(name: str, *shape: int | None, dtype: str = "float32") -> Any:
    return tf.TensorSpec(shape, dtype, name)


def _specs(kind: str, layout: Layout) -> Specs:
    return [_spec(f"{kind}{i}", *tensor.shape) for i, tensor in enumerate(layout.tensors)]


def _function(body: Callable[[Tensors], Tensors], specs: Specs) -> Any:
    """Return a function of tensors by name as a concrete one, whose arguments have those names."""

    def named(*tensors: Tensor) -> Tensors:
        return body({spec.name: tensor for spec, tensor in zip(specs, tensors, strict=True)})

    return tf.function(named, input_signature=specs, autograph=False).get_concrete_function()
