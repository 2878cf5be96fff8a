"""Each overridden gradient is TensorFlow's own, number for number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

import tensorflow as tf

from bramble_server.authoring.export import ExportError, convolution
from bramble_server.authoring.export.gradients import OVERRIDES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
assert convolution  # its overrides are registered on import

Shape = tuple[int | None, ...]
Body = Callable[..., Any]


def gradients(body: Body, shapes: tuple[Shape, ...], overrides: dict[str, str]) -> tuple[list[np.ndarray], set[str]]:
    """Gradients of a fixed weighting of the body's output, and the types of the operations in its graph. None is a batch of 5."""
    rng = np.random.default_rng(1)
    # multiples of a half, so that ties, kinks and equal maxima occur
    values = [rng.integers(-6, 7, [5 if n is None else n for n in shape]).astype(np.float32) / 2 for shape in shapes]
    kinds: set[str] = set()

    def once(*inputs: Any) -> Any:
        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map(overrides):
            y = body(*inputs)
        kinds.update(op.type for op in graph.get_operations())
        weights = tf.reshape(tf.cos(tf.range(tf.size(y), dtype=tf.float32)), tf.shape(y))
        return tf.gradients(y, list(inputs), grad_ys=weights)

    run = tf.function(once, autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32) for shape in shapes])

    return [gradient.numpy() for gradient in run(*values)], kinds


B: Shape = (None, 6)
IMAGE: Shape = (None, 7, 6, 3)
CASES: dict[str, tuple[str, Body, tuple[Shape, ...]]] = {
    "add": ("AddV2", lambda a, b: a + b, (B, B)),
    "add a bias": ("AddV2", lambda a, b: a + b, (B, (6,))),
    "add a column": ("AddV2", lambda a, b: a + b, ((None, 4, 6), (4, 1))),
    "subtract a row": ("Sub", lambda a, b: b - a, (B, (1, 6))),
    "multiply by a scalar": ("Mul", lambda a, b: a * b, (B, ())),
    "multiply": ("Mul", lambda a, b: a * b, (B, B)),
    "divide": ("RealDiv", lambda a, b: a / (b * b + 1), (B, (6,))),
    "squared difference": ("SquaredDifference", tf.math.squared_difference, (B, (1, 6))),
    "maximum": ("Maximum", tf.maximum, (B, (6,))),
    "minimum": ("Minimum", tf.minimum, (B, B)),
    "relu": ("Relu", tf.nn.relu, (B,)),
    "relu6": ("Relu6", lambda a: tf.nn.relu6(a * 4), (B,)),
    "leaky relu": ("LeakyRelu", lambda a: tf.nn.leaky_relu(a, 0.1), (B,)),
    "elu": ("Elu", tf.nn.elu, (B,)),
    "selu": ("Selu", tf.nn.selu, (B,)),
    "bias": ("BiasAdd", tf.nn.bias_add, ((None, 4, 6), (6,))),
    "sum of an axis": ("Sum", lambda a: tf.reduce_sum(a, 1), ((None, 4, 6),)),
    "sum of the last axes, kept": ("Sum", lambda a: tf.reduce_sum(a, [-1, 1], keepdims=True), ((None, 4, 6),)),
    "sum of everything": ("Sum", tf.reduce_sum, (B,)),
    "mean of an axis": ("Mean", lambda a: tf.reduce_mean(a, -1), ((None, 4, 6),)),
    "mean of two axes": ("Mean", lambda a: tf.reduce_mean(a, [1, 2]), ((None, 4, 6),)),
    "mean over the batch": ("Mean", lambda a: tf.reduce_mean(a, 0), (B,)),
    "mean over the batch and an axis, kept": ("Mean", lambda a: tf.reduce_mean(a, [0, 1], keepdims=True), ((None, 4, 6),)),
    "slice": ("StridedSlice", lambda a: a[:, 1:4], (B,)),
    "slice from the end": ("StridedSlice", lambda a: a[:, -3:], (B,)),
    "slice to before the end": ("StridedSlice", lambda a: a[:, :-2, 1:], ((None, 4, 6),)),
    "slice beyond the end": ("StridedSlice", lambda a: a[:, 2:99], (B,)),
    "pick": ("StridedSlice", lambda a: a[:, 2], (B,)),
    "pick the last": ("StridedSlice", lambda a: a[:, -1, 1:3], ((None, 4, 6),)),
    "matrix product": ("BatchMatMulV2", tf.matmul, ((None, 3, 4), (None, 4, 2))),
    "matrix product, first turned": ("BatchMatMulV2", lambda a, b: tf.matmul(a, b, transpose_a=True), ((None, 4, 3), (None, 4, 2))),
    "matrix product, second turned": ("BatchMatMulV2", lambda a, b: tf.matmul(a, b, transpose_b=True), ((None, 3, 4), (None, 2, 4))),
    "matrix product, both turned": (
        "BatchMatMulV2",
        lambda a, b: tf.matmul(a, b, transpose_a=True, transpose_b=True),
        ((None, 4, 3), (None, 2, 4)),
    ),
    "matrix product with one for all": ("BatchMatMulV2", lambda a, b: tf.matmul(a, tf.expand_dims(b, 0)), ((None, 3, 4), (4, 2))),
    "convolution, valid": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, 1, "VALID"), (IMAGE, (3, 2, 3, 4))),
    "convolution, same": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), (IMAGE, (3, 2, 3, 4))),
    "convolution, same, even": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), (IMAGE, (4, 5, 3, 2))),
    "convolution of points": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), (IMAGE, (1, 1, 3, 2))),
    "convolution with steps": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, (2, 3), "VALID"), (IMAGE, (3, 2, 3, 4))),
    "convolution with steps, same": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, 2, "SAME"), (IMAGE, (3, 4, 3, 4))),
    "convolution with steps longer than the kernel": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, 3, "SAME"), (IMAGE, (1, 2, 3, 4))),
    "convolution spread out": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, 1, "VALID", dilations=(3, 2)), (IMAGE, (2, 3, 3, 4))),
    "convolution spread out, same": ("Conv2D", lambda x, w: tf.nn.conv2d(x, w, 1, "SAME", dilations=2), (IMAGE, (3, 2, 3, 4))),
    "convolution channel by channel": (
        "DepthwiseConv2dNative",
        lambda x, w: tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "SAME"),
        (IMAGE, (3, 2, 3, 2)),
    ),
    "convolution channel by channel, with steps": (
        "DepthwiseConv2dNative",
        lambda x, w: tf.nn.depthwise_conv2d(x, w, [1, 2, 2, 1], "VALID"),
        (IMAGE, (2, 3, 3, 1)),
    ),
    "max pool with ties": ("MaxPool", lambda x: tf.nn.max_pool2d(x, (3, 2), (3, 2), "VALID"), (IMAGE,)),
    "max pool of one axis": ("MaxPool", lambda x: tf.nn.max_pool2d(x, (1, 4), (1, 4), "VALID"), (IMAGE,)),
    "average pool": ("AvgPool", lambda x: tf.nn.avg_pool2d(x, (2, 3), (2, 3), "VALID"), (IMAGE,)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_override_gives_tensorflows_gradient(name: str) -> None:
    kind, body, shapes = CASES[name]
    expected, kinds = gradients(body, shapes, {})
    assert kind in kinds
    got, _ = gradients(body, shapes, OVERRIDES)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_every_override_is_tried() -> None:
    assert set(OVERRIDES) - {"Add"} == {kind for kind, _, _ in CASES.values()}


REFUSED: dict[str, tuple[Body, tuple[Shape, ...], str]] = {
    "grouped convolution": (lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), ((None, 7, 6, 4), (3, 3, 2, 4)), "Conv2D .* groups=1"),
    "overlapping pool": (lambda x: tf.nn.max_pool2d(x, 3, 2, "VALID"), (IMAGE,), "MaxPool .* strides equal to pool_size"),
    "padded pool": (lambda x: tf.nn.avg_pool2d(x, 2, 2, "SAME"), (IMAGE,), "AvgPool .* padding='valid'"),
    "slice of the batch": (lambda x: x[1:], (B,), "StridedSlice .* slice other axes only"),
    "slice with a stride": (lambda x: x[:, ::2], (B,), "StridedSlice .* stride 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_override_is_refused_by_name_with_the_remedy(name: str) -> None:
    body, shapes, text = REFUSED[name]
    with pytest.raises(ExportError, match=text):
        gradients(body, shapes, OVERRIDES)
