"""Gradients of convolution and pooling that TensorFlow Lite can run. Keras calls these 2-D operations for 1-D layers too."""

from __future__ import annotations

from typing import Any, NamedTuple

from bramble_server.authoring.export.gradients import Tensor, override, tf, unsupported


def _padding(op: Any, size: int, out: int, kernel: int, step: int) -> tuple[int, int]:
    """Zeros before and after one axis, by TensorFlow's rule for SAME."""
    if op.get_attr("padding") == b"VALID":
        return 0, 0
    total = max((out - 1) * step + kernel - size, 0)
    return total // 2, total - total // 2


class _Windows(NamedTuple):
    """Where the kernel of a convolution meets its input."""

    step: tuple[int, int]
    """Positions from one window to the next, down and across."""
    apart: tuple[int, int]
    """Positions from one row or column of the kernel to the next."""
    pads: tuple[tuple[int, int], tuple[int, int]]
    """Zeros above and below the input, left and right of it."""
    kernel: tuple[int, int]
    """Rows and columns."""

    @classmethod
    def of(cls, op: Any, out: Tensor) -> _Windows:
        """Read an operation's attributes; ``out`` has the shape of its result."""
        x, kernel = op.inputs
        if op.get_attr("data_format") != b"NHWC":
            raise unsupported(op, "a channels-first convolution", "use channels_last")
        _, down, across, _ = op.get_attr("strides")
        _, row, column, _ = op.get_attr("dilations")
        rows, columns = kernel.shape[0], kernel.shape[1]
        pads = [
            _padding(op, x.shape[axis], out.shape[axis], (size - 1) * apart + 1, step)
            for axis, size, apart, step in ((1, rows, row, down), (2, columns, column, across))
        ]
        return cls((down, across), (row, column), (pads[0], pads[1]), (rows, columns))

    def patches(self, x: Tensor, out: Tensor) -> list[Tensor]:
        """Return, for each number of the kernel, what of ``x`` it meets in each window: shape (batch, rows, columns, channels)."""
        padded = tf.pad(x, [[0, 0], *map(list, self.pads), [0, 0]])
        found = []
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                low = i * self.apart[0], j * self.apart[1]
                high = [first + (size - 1) * step + 1 for first, size, step in zip(low, out.shape[1:3], self.step, strict=True)]
                found.append(padded[:, low[0] : high[0] : self.step[0], low[1] : high[1] : self.step[1], :])
        return found

    def spread(self, dy: Tensor, x: Tensor) -> Tensor:
        """Lay ``dy`` out so that a convolution with stride 1 and the turned kernel gives each place of ``x`` its share."""
        for axis, step in ((1, self.step[0]), (2, self.step[1])):
            if step > 1:  # zeros between the windows, by which they lie as far apart as in the input
                shape = [-1, *dy.shape[1:]]
                apart = tf.expand_dims(dy, axis + 1)
                apart = tf.pad(apart, [[0, step - 1] if i == axis + 1 else [0, 0] for i in range(5)])
                shape[axis] *= step
                dy = tf.reshape(apart, shape)
        pads = []
        for i in (0, 1):
            reach = (self.kernel[i] - 1) * self.apart[i]
            before = reach - self.pads[i][0]
            pads.append([before, x.shape[i + 1] + reach - before - dy.shape[i + 1]])
        # what would lie beyond the input's end is only zeros between windows
        ends = [dy.shape[i + 1] + min(0, pads[i][1]) for i in (0, 1)]
        starts = [max(0, -pads[i][0]) for i in (0, 1)]
        dy = dy[:, starts[0] : ends[0], starts[1] : ends[1], :]
        return tf.pad(dy, [[0, 0], *([max(0, low), max(0, high)] for low, high in pads), [0, 0]])


def _turned(kernel: Tensor) -> Tensor:
    """Turn a kernel around; two single-axis reversals, since tflite-runtime 2.14 returns wrong numbers for one over both axes."""
    return tf.reverse(tf.reverse(kernel, [0]), [1])


@override("Conv2D")
def _conv2d(op: Any, dy: Tensor) -> Any:
    x, kernel = op.inputs
    if x.shape[3] != kernel.shape[2]:
        raise unsupported(op, "a grouped convolution", "use groups=1")
    windows = _Windows.of(op, dy)
    # the kernel's gradient as one matrix product: every patch of x (im2col) against dy
    flat = tf.reshape(tf.concat(windows.patches(x, dy), 3), [-1, kernel.shape[0] * kernel.shape[1] * kernel.shape[2]])
    d_kernel = tf.reshape(tf.matmul(flat, tf.reshape(dy, [-1, kernel.shape[3]]), transpose_a=True), kernel.shape)
    # the input's as a full convolution with the turned kernel
    turned = tf.transpose(_turned(kernel), [0, 1, 3, 2])
    return tf.nn.conv2d(windows.spread(dy, x), turned, 1, "VALID", dilations=list(windows.apart)), d_kernel


@override("DepthwiseConv2dNative")
def _depthwise_conv2d(op: Any, dy: Tensor) -> Any:
    x, kernel = op.inputs
    channels, many = kernel.shape[2], kernel.shape[3]
    windows = _Windows.of(op, dy)
    each = tf.reshape(dy, [-1, channels, many])
    products = [tf.reduce_sum(tf.expand_dims(tf.reshape(patch, [-1, channels]), 2) * each, 0) for patch in windows.patches(x, dy)]
    d_kernel = tf.reshape(tf.stack(products), kernel.shape)
    d_x, turned = 0.0, _turned(kernel)
    for one in range(many):
        part = tf.reshape(each[:, :, one], [-1, *dy.shape[1:3], channels])
        one_each = turned[:, :, :, one : one + 1]
        d_x += tf.nn.depthwise_conv2d(windows.spread(part, x), one_each, [1, 1, 1, 1], "VALID", dilations=list(windows.apart))
    return d_x, d_kernel


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
