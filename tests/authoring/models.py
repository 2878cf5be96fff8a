"""Ordinary Keras models on the climate task's windows, beside the built-in one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from bramble_protocol.graph import Metric
from bramble_protocol.interface import Input, Target, Value
from bramble_protocol.messages import TrainConfig
from bramble_server.tasks.base import Task, Tensor
from bramble_server.tasks.climate import Climate

Layers = Callable[[], list[Any]]
L = keras.layers


class Example(Climate):
    """The climate task with another model: layers between the scaled window and one dense output."""

    config = Climate.config

    def __init__(self, name: str, layers: Layers) -> None:
        super().__init__()
        self.name = name
        self.layers = layers

    def model(self) -> Any:
        scale = L.Rescaling([0.05, 0.02, 0.1], [-0.6, -1.0, -100.0])
        return keras.Sequential([L.Input((self.window, 3)), scale, *self.layers(), L.Dense(1)])


def conv() -> Example:
    return Example(
        "conv",
        lambda: [
            L.Conv1D(6, 5, padding="same", activation="relu"),
            L.MaxPooling1D(2),
            L.Conv1D(8, 3, activation="relu"),
            L.MaxPooling1D(3),
            L.Flatten(),
        ],
    )


def separable() -> Example:
    return Example(
        "separable",
        lambda: [
            L.SeparableConv1D(6, 5, padding="same", depth_multiplier=2, activation="relu"),
            L.Conv1D(6, 3, strides=2, activation="relu"),
            L.Conv1D(4, 3, dilation_rate=2, padding="same"),
            L.Flatten(),
        ],
    )


def gru() -> Example:
    return Example("gru", lambda: [L.AveragePooling1D(4), L.GRU(6, unroll=True)])


class Several(Task):
    """Temperature in one and in three hours, and humidity in two, from a few hours of both and a day of pressure."""

    name = "several"
    description = "two inputs, two targets, one state"
    channels = Climate.channels
    window = 24
    step_s = 3600.0
    target, horizon = "temperature", 3
    inputs = (
        Input("recent", (6, 2), "float32", ("temperature", "humidity")),
        Input("day", (24, 1), "float32", ("pressure",)),
    )
    targets = (
        Target("soon", (2,), "float32", "temperature", (1, 3)),
        Target("damp", (), "float32", "humidity", (2,)),
    )
    outputs = (Value("soon", (2,), "float32"), Value("damp", (), "float32"))
    metric = Metric("RMSE", "°C", "sqrt", "persistence: in three hours it will be as now")
    config = TrainConfig(epochs=1, batch_size=32, learning_rate=0.02)

    def model(self) -> Any:
        recent, day = L.Input((6, 2), name="recent"), L.Input((24, 1), name="day")
        changes = [L.Rescaling([0.2, 0.05])(recent - recent[:, -1:, :]), L.Rescaling(0.2)(day - day[:, -1:, :])]
        hidden = L.Concatenate()([L.Flatten()(part) for part in changes])
        hidden = L.Dense(8, "tanh")(Centred()(hidden))
        return keras.Model({"recent": recent, "day": day}, {"soon": L.Dense(2)(hidden), "damp": L.Dense(1)(hidden)})

    def forecast(self, x: Tensor, output: Tensor) -> Tensor:
        now = x["recent"][:, -1, :]
        return {"soon": now[:, :1] + 5 * output["soon"], "damp": now[:, 1] + 20 * output["damp"][:, 0]}

    def loss(self, x: Tensor, y: Tensor, output: Tensor) -> Tensor:
        forecast = self.forecast(x, output)
        return keras.ops.mean(((y["soon"] - forecast["soon"]) / 5) ** 2, 1) + ((y["damp"] - forecast["damp"]) / 20) ** 2

    def error(self, y: Tensor, forecast: Tensor) -> Tensor:
        return (y["soon"][:, 1] - forecast["soon"][:, 1]) ** 2

    def baseline(self, x: Tensor, y: Tensor) -> Tensor:
        return (y["soon"][:, 1] - x["recent"][:, -1, 0]) ** 2


REFERENCES: dict[str, Callable[[], Task]] = {"climate": Climate, "conv": conv, "gru": gru, "separable": separable, "several": Several}
"""Tasks whose reference runs both runtimes must reproduce."""

MODELS: dict[str, Layers] = {
    "lstm": lambda: [L.AveragePooling1D(4), L.LSTM(5, unroll=True)],
    "simple-rnn": lambda: [L.AveragePooling1D(4), L.SimpleRNN(5, unroll=True)],
    "rolled": lambda: [L.AveragePooling1D(4), L.GRU(4, return_sequences=True), L.LSTM(3, return_sequences=True), L.SimpleRNN(3)],
    "two-grus": lambda: [L.AveragePooling1D(6), L.GRU(4, unroll=True, return_sequences=True), L.GRU(4, unroll=True)],
    "average-pools": lambda: [L.Conv1D(4, 3, activation="tanh"), L.AveragePooling1D(2), L.GlobalAveragePooling1D()],
    "global-max-pool": lambda: [L.Conv1D(4, 3, activation="elu"), L.GlobalMaxPooling1D()],
    "layer-normalization": lambda: [L.Flatten(), L.Dense(8), L.LayerNormalization(), L.Activation("relu")],
    "batch-normalization": lambda: [L.Flatten(), L.Dense(8), L.BatchNormalization(momentum=0.9), L.Activation("relu")],
    "frozen-normalization": lambda: [L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]), L.Flatten(), L.Dense(4, "relu")],
    "activations": lambda: [
        L.Flatten(),
        *(L.Dense(6, activation) for activation in ("relu6", "leaky_relu", "elu", "selu", "silu", "softplus", "sigmoid", "softmax")),
    ],
    "conv2d": lambda: [L.Reshape((6, 4, 3)), L.Conv2D(5, (3, 2), padding="same", activation="relu"), L.MaxPooling2D((3, 2)), L.Flatten()],
    "residual": lambda: [L.Flatten(), Residual(8)],
    "uneven-pool": lambda: [L.Conv1D(4, 4), L.MaxPooling1D(4), L.Flatten()],
    "cropped": lambda: [L.Conv1D(4, 3), L.Cropping1D((2, 5)), L.Flatten()],
    "attention": lambda: [L.Dense(4), SelfAttention(), L.GlobalAveragePooling1D()],
    "strided-conv": lambda: [L.Conv1D(5, 3, strides=2, activation="relu"), L.Conv1D(4, 4, strides=3, padding="same"), L.Flatten()],
    "dilated-conv": lambda: [
        L.Conv1D(5, 3, dilation_rate=3, activation="relu"),
        L.Conv1D(4, 3, dilation_rate=2, padding="same"),
        L.Flatten(),
    ],
    "depthwise-conv": lambda: [
        L.DepthwiseConv1D(3, depth_multiplier=2, activation="relu"),
        L.DepthwiseConv1D(4, padding="same"),
        L.DepthwiseConv1D(3, strides=2),
        L.Flatten(),
    ],
    "separable-conv": lambda: [L.SeparableConv1D(5, 3, padding="same", activation="relu"), L.GlobalAveragePooling1D()],
    "causal-conv": lambda: [L.Conv1D(4, 3, padding="causal", activation="relu"), L.Flatten()],
}
"""More models that must export and train as TensorFlow does."""


class Centred(keras.layers.Layer):  # type: ignore[misc]
    """Takes the batch's mean away while it trains and a moving one afterwards, as batch normalisation does."""

    def build(self, shape: Any) -> None:
        self.moving_mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="moving_mean")

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x - self.moving_mean
        mean = keras.ops.mean(x, 0)
        self.moving_mean.assign(0.9 * self.moving_mean + 0.1 * mean)
        return x - mean


class Residual(keras.layers.Layer):  # type: ignore[misc]
    """Two dense layers with a bypass."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.first, self.second = L.Dense(units, "relu"), L.Dense(units)

    def build(self, shape: Any) -> None:
        self.first.build(shape)
        self.second.build((*shape[:-1], self.first.units))

    def call(self, x: Any) -> Any:
        first = self.first(x)
        return first + 0.5 * self.second(first)


class SelfAttention(keras.layers.Layer):  # type: ignore[misc]
    """Dot-product attention of a sequence to itself."""

    def call(self, x: Any) -> Any:
        turned = keras.ops.transpose(x, (0, 2, 1))
        weights = keras.ops.softmax(keras.ops.matmul(x, turned) / 2.0)
        return keras.ops.matmul(weights, x) + keras.ops.transpose(tf.matmul(x, weights, transpose_a=True, transpose_b=True), (0, 2, 1))
