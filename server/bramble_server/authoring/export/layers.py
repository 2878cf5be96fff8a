"""Layers that no graph can have as Keras makes them, made ones that it can: recurrent ones unrolled, dropout by numbers from outside."""

from __future__ import annotations

import importlib
import math
from typing import Any

from bramble_server.authoring.export.gradients import ExportError, Tensor

keras: Any = importlib.import_module("keras")
LONGEST = 128
"""Steps that a recurrent layer may have: each is written out, in the step forwards and in its gradient."""


class Draws:
    """Where dropout takes its random numbers from: uniform in [0, 1), so many for each row of a minibatch."""

    def __init__(self) -> None:
        self.count = 0
        self.now: Tensor | None = None
        """Those of the minibatch that is being traced, shape (rows, count); None where nothing is dropped."""

    def some(self, count: int) -> slice:
        """Return which of them are for one layer."""
        self.count += count
        return slice(self.count - count, self.count)


class Drawn(keras.layers.Layer):  # type: ignore[misc]
    """Dropout (Srivastava et al. 2014) whose numbers come from outside, in place of one that draws them itself."""

    def __init__(self, dropout: Any, draws: Draws) -> None:
        super().__init__(name=dropout.name)
        self._dropout, self._draws = dropout, draws

    def build(self, shape: Any) -> None:
        """Take numbers for what is dropped by itself: each value, or as Keras's layer says each whole channel."""
        dropout = self._dropout
        if isinstance(dropout, keras.layers.SpatialDropout1D | keras.layers.SpatialDropout2D):
            noise: Any = (1,) * (len(shape) - 2) + (shape[-1],)
        else:
            noise = [size if size is not None else whole for size, whole in zip(dropout.noise_shape or shape, shape, strict=True)][1:]
        self._noise = tuple(noise)
        self._mine = self._draws.some(math.prod(self._noise))

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Drop a part, and make up for it by what is left."""
        rate, now = self._dropout.rate, self._draws.now
        if not training or now is None or not rate:
            return x
        kept = keras.ops.cast(now[:, self._mine] >= rate, "float32") / (1 - rate)
        return x * keras.ops.reshape(kept, (-1, *self._noise))


def ready(model: Any, draws: Draws) -> Any:
    """Return a model whose recurrent layers are unrolled and whose dropout takes its numbers from ``draws``; with the same weights.

    Raises
    ------
    ExportError
        If a recurrent layer has too many steps for that.
    """
    layers = list(model._flatten_layers())
    for layer in layers:
        if isinstance(layer, keras.layers.RNN) and not layer.unroll:
            steps = layer.input.shape[1]
            if steps is None or steps > LONGEST:
                raise ExportError(
                    f"{layer.name}: a recurrent layer of {steps or 'any number of'} steps is not unrolled for a graph, whose every step is "
                    f"written out; put pooling or a strided convolution before it, that it has {LONGEST} at most"
                )
            layer.unroll = True
    if not any(isinstance(layer, keras.layers.Dropout) for layer in layers):
        return model

    def swapped(layer: Any) -> Any:
        return Drawn(layer, draws) if isinstance(layer, keras.layers.Dropout) else layer

    return keras.models.clone_model(model, clone_function=swapped, recursive=True)
