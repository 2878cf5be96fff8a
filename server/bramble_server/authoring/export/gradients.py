"""Gradients that TensorFlow Lite can run: for operations whose own gradient does not convert, the same in terms of built-in ones.

Shapes are static but for the batch, which comes first and is never broadcast; that is what lets these do without the
run-time shape arithmetic (BroadcastGradientArgs and the like) that keeps TensorFlow's own gradients from converting.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from bramble_protocol.errors import BrambleError


class ExportError(BrambleError):
    """A Keras model cannot become a graph; the text names the operation or layer and the remedy."""


tf: Any = importlib.import_module("tensorflow")
Tensor = Any
Gradient = Callable[[Any, Tensor], Any]
OVERRIDES: dict[str, str] = {}
"""What ``gradient_override_map`` takes: operation type to the name its gradient is registered under."""


def override(*types: str) -> Callable[[Gradient], Gradient]:
    """Register a function as the gradient of these operations."""

    def register(gradient: Gradient) -> Gradient:
        for kind in types:
            OVERRIDES[kind] = f"Bramble{kind}"
            tf.RegisterGradient(OVERRIDES[kind])(gradient)
        return gradient

    return register


def unsupported(op: Any, what: str, remedy: str) -> ExportError:
    """Build the refusal of one operation."""
    return ExportError(f"{op.type} ({op.name}): {what} has no gradient on the device; {remedy}")


def no_gradient(error: LookupError) -> ExportError:
    """Build the refusal of an operation that TensorFlow itself cannot differentiate."""
    kind = (re.findall(r"type: (\w+)", str(error)) or re.findall(r": (\w+)", str(error)) or ["an operation"])[0]
    where = re.findall(r"operation ?'([^']+)'", str(error))
    return ExportError(
        f"{kind}{f' ({where[0]})' if where else ''}: this operation has no gradient; replace the layer or function that uses it"
    )


def _mask(condition: Tensor) -> Tensor:
    return tf.cast(condition, tf.float32)


def _like(gradient: Tensor, operand: Tensor) -> Tensor:
    """Sum a gradient over the axes along which its operand was broadcast."""
    extra = gradient.shape.rank - operand.shape.rank
    if extra:
        gradient = tf.reduce_sum(gradient, list(range(extra)))
    axes = [i for i, size in enumerate(operand.shape) if size == 1 and gradient.shape[i] != 1]
    return tf.reduce_sum(gradient, axes, keepdims=True) if axes else gradient


@override("AddV2", "Add")
def _add(op: Any, dy: Tensor) -> Any:
    a, b = op.inputs
    return _like(dy, a), _like(dy, b)


@override("Sub")
def _sub(op: Any, dy: Tensor) -> Any:
    a, b = op.inputs
    return _like(dy, a), _like(-dy, b)


@override("Mul")
def _mul(op: Any, dy: Tensor) -> Any:
    a, b = op.inputs
    return _like(dy * b, a), _like(dy * a, b)


@override("RealDiv")
def _div(op: Any, dy: Tensor) -> Any:
    a, b = op.inputs
    return _like(dy / b, a), _like(-dy * op.outputs[0] / b, b)


@override("SquaredDifference")
def _squared_difference(op: Any, dy: Tensor) -> Any:
    a, b = op.inputs
    slope = 2.0 * dy * (a - b)
    return _like(slope, a), _like(-slope, b)


@override("Maximum")
def _maximum(op: Any, dy: Tensor) -> Any:
    a, b = op.inputs
    first = _mask(a >= b)
    return _like(dy * first, a), _like(dy * (1.0 - first), b)


@override("Minimum")
def _minimum(op: Any, dy: Tensor) -> Any:
    a, b = op.inputs
    first = _mask(a <= b)
    return _like(dy * first, a), _like(dy * (1.0 - first), b)


@override("Relu")
def _relu(op: Any, dy: Tensor) -> Tensor:
    return dy * _mask(op.outputs[0] > 0.0)


@override("Relu6")
def _relu6(op: Any, dy: Tensor) -> Tensor:
    y = op.outputs[0]
    return dy * _mask(y > 0.0) * _mask(y < 6.0)


@override("LeakyRelu")
def _leaky_relu(op: Any, dy: Tensor) -> Tensor:
    alpha = op.get_attr("alpha")
    return dy * (alpha + (1.0 - alpha) * _mask(op.inputs[0] > 0.0))


@override("Elu")
def _elu(op: Any, dy: Tensor) -> Tensor:
    y = op.outputs[0]
    return dy * (1.0 + tf.minimum(y, 0.0))


@override("Selu")
def _selu(op: Any, dy: Tensor) -> Tensor:
    # Klambauer et al. 2017: scale * x above zero, scale * alpha * (exp(x) - 1) below
    scale, slope = 1.0507009873554805, 1.7580993408473766
    y = op.outputs[0]
    return dy * (scale * _mask(y >= 0.0) + (slope + y) * _mask(y < 0.0))


@override("BiasAdd")
def _bias_add(op: Any, dy: Tensor) -> Any:
    return dy, tf.reduce_sum(dy, list(range(dy.shape.rank - 1)))


@override("BatchMatMulV2")
def _batch_matmul(op: Any, dy: Tensor) -> Any:
    a, b = op.inputs
    turned_a, turned_b = op.get_attr("adj_x"), op.get_attr("adj_y")
    d_a = tf.matmul(b, dy, transpose_a=turned_b, transpose_b=True) if turned_a else tf.matmul(dy, b, transpose_b=not turned_b)
    d_b = tf.matmul(dy, a, transpose_a=True, transpose_b=turned_a) if turned_b else tf.matmul(a, dy, transpose_a=not turned_a)
    return _like(d_a, a), _like(d_b, b)


def _axes(op: Any) -> list[int]:
    axes = tf.get_static_value(op.inputs[1])
    rank = op.inputs[0].shape.rank
    return [int(axis) % rank for axis in ([axes] if axes.ndim == 0 else axes)]


def _spread(op: Any, dy: Tensor, axes: Iterable[int]) -> Tensor:
    """Give each summed element its share again: the gradient of a sum, broadcast by a multiplication."""
    if not op.get_attr("keep_dims"):
        for axis in sorted(axes):
            dy = tf.expand_dims(dy, axis)
    return dy * tf.ones_like(op.inputs[0])


@override("Sum")
def _sum(op: Any, dy: Tensor) -> Any:
    return _spread(op, dy, _axes(op)), None


@override("Mean")
def _mean(op: Any, dy: Tensor) -> Any:
    axes = _axes(op)
    count: Tensor = 1.0
    for axis in axes:
        size = op.inputs[0].shape[axis]
        # the batch's size, over which a normalisation takes its mean, is known only when it is there
        count *= float(size) if size is not None else tf.cast(tf.shape(op.inputs[0])[axis], tf.float32)
    return _spread(op, dy, axes) / count, None


@override("StridedSlice")
def _strided_slice(op: Any, dy: Tensor) -> Any:
    x = op.inputs[0]
    begin, end, strides = (tf.get_static_value(part) for part in op.inputs[1:4])
    masks = {name: op.get_attr(f"{name}_mask") for name in ("begin", "end", "shrink_axis", "new_axis", "ellipsis")}
    if begin is None or end is None or masks["new_axis"] or masks["ellipsis"] or any(stride != 1 for stride in strides):
        raise unsupported(op, "this slice", "slice with constant bounds and stride 1, without '...' or a new axis")
    pads = [[0, 0] for _ in range(x.shape.rank)]
    for axis in range(len(begin)):
        size, bit = x.shape[axis], 1 << axis
        if masks["shrink_axis"] & bit:
            dy = tf.expand_dims(dy, axis)
        if size is None:
            if not (masks["begin"] & bit and masks["end"] & bit):
                raise unsupported(op, "a slice of the batch", "slice other axes only")
            continue
        # a slice's bounds as Python's slice resolves them; a picked index is a slice of one
        low = 0 if masks["begin"] & bit else range(size)[begin[axis] :].start
        if masks["shrink_axis"] & bit:
            low = int(begin[axis]) % size
            high = low + 1
        else:
            high = size if masks["end"] & bit else range(size)[: end[axis]].stop
        pads[axis] = [low, size - high]
    return tf.pad(dy, pads), None, None, None
