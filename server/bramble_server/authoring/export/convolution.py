"""Gradients of convolution and pooling that TensorFlow Lite can run. Keras calls these 2-D operations for 1-D layers too."""

from __future__ import annotations

from typing import Any

from bramble_server.authoring.export.gradients import Tensor, override, tf, unsupported


def _padding(op: Any, size: int, out: int, kernel: int) -> tuple[int, int]:
    """Zeros before and after one axis, by TensorFlow's rule for SAME."""
    if op.get_attr("padding") == b"VALID":
        return 0, 0
    total = max(out - 1 + kernel - size, 0)
    return total // 2, total - total // 2


@override("Conv2D")
def _conv2d(op: Any, dy: Tensor) -> Any:
    x, kernel = op.inputs
    if list(op.get_attr("strides")) != [1, 1, 1, 1] or list(op.get_attr("dilations")) != [1, 1, 1, 1]:
        raise unsupported(op, "a strided or dilated convolution", "use stride 1 and a pooling layer after it")
    if op.get_attr("data_format") != b"NHWC" or x.shape[3] != kernel.shape[2]:
        raise unsupported(op, "a grouped or channels-first convolution", "use channels_last and groups=1")
    height, width, channels = x.shape[1:]
    rows, columns, _, filters = kernel.shape
    out_height, out_width = dy.shape[1:3]
    top, bottom = _padding(op, height, out_height, rows)
    left, right = _padding(op, width, out_width, columns)
    # the kernel's gradient as one matrix product: every patch of x (im2col) against dy
    padded = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])
    patches = [tf.slice(padded, [0, i, j, 0], [-1, out_height, out_width, channels]) for i in range(rows) for j in range(columns)]
    flat = tf.reshape(tf.concat(patches, 3), [-1, rows * columns * channels])
    d_kernel = tf.reshape(tf.matmul(flat, tf.reshape(dy, [-1, filters]), transpose_a=True), kernel.shape)
    # the input's gradient as a full convolution with the turned kernel; two single-axis reversals, since
    # tflite-runtime 2.14 returns wrong numbers for one over both axes
    turned = tf.transpose(tf.reverse(tf.reverse(kernel, [0]), [1]), [0, 1, 3, 2])
    spread = tf.pad(
        dy,
        [[0, 0], [rows - 1 - top, height + top - out_height], [columns - 1 - left, width + left - out_width], [0, 0]],
    )
    return tf.nn.conv2d(spread, turned, 1, "VALID"), d_kernel


def _pool(op: Any) -> tuple[int, int]:
    """Height and width of a pool whose windows do not overlap."""
    _, rows, columns, _ = op.get_attr("ksize")
    x, y = op.inputs[0], op.outputs[0]
    if list(op.get_attr("strides")) != [1, rows, columns, 1] or op.get_attr("data_format") != b"NHWC":
        raise unsupported(op, "an overlapping or channels-first pool", "use strides equal to pool_size, and channels_last")
    if y.shape[1] * rows > x.shape[1] or y.shape[2] * columns > x.shape[2]:
        raise unsupported(op, "a pool padded at its edge", "use padding='valid', or a size that pool_size divides")
    return rows, columns


def _assemble(op: Any, cells: list[list[Tensor]]) -> Tensor:
    """Put cell (i, j) of every window in its place; what a VALID pool left over at the edge gets zeros."""
    x, y = op.inputs[0], op.outputs[0]
    rows, columns = len(cells), len(cells[0])
    out_height, out_width, channels = y.shape[1:]
    lines = [tf.reshape(tf.stack(line, 3), [-1, out_height, out_width * columns, channels]) for line in cells]
    whole = tf.reshape(tf.stack(lines, 2), [-1, out_height * rows, out_width * columns, channels])
    return tf.pad(whole, [[0, 0], [0, x.shape[1] - out_height * rows], [0, x.shape[2] - out_width * columns], [0, 0]])


@override("MaxPool")
def _max_pool(op: Any, dy: Tensor) -> Tensor:
    x, y = op.inputs[0], op.outputs[0]
    rows, columns = _pool(op)
    out_height, out_width, channels = y.shape[1:]
    x = x[:, : out_height * rows, : out_width * columns, :]
    lines = tf.unstack(tf.reshape(x, [-1, out_height, rows, out_width * columns, channels]), axis=2)
    free = tf.ones_like(y)
    cells: list[list[Tensor]] = []
    for line in lines:
        cells.append([])
        for cell in tf.unstack(tf.reshape(line, [-1, out_height, out_width, columns, channels]), axis=3):
            # the first of equal largest cells takes the gradient, as in TensorFlow
            chosen = free * tf.cast(tf.equal(cell, y), tf.float32)
            free -= chosen
            cells[-1].append(dy * chosen)
    return _assemble(op, cells)


@override("AvgPool")
def _avg_pool(op: Any, dy: Tensor) -> Tensor:
    rows, columns = _pool(op)
    share = dy / float(rows * columns)
    return _assemble(op, [[share] * columns] * rows)
