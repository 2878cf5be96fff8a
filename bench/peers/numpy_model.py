"""A small model in numpy alone, which Bramble's simulation and Flower's train alike: as many weights as the task ``climate`` has.

Its windows are made up, for nobody looks at what it learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
SHAPES: tuple[tuple[int, ...], ...] = ((72, 32), (32,), (32, 16), (16,), (16, 1), (1,))
WINDOWS, BATCH, RATE = 500, 32, np.float32(0.01)


@lru_cache(1000)
def windows(client: int) -> tuple[Array, Array]:
    """Return what a client knows, shapes (500, 72) and (500, 1); it is made once in each process."""
    random = np.random.default_rng(client)
    return random.standard_normal((WINDOWS, 72), np.float32), random.standard_normal((WINDOWS, 1), np.float32)


def train(weights: Sequence[Array], client: int, steps: int) -> list[Array]:
    """Return the weights after so many steps of gradient descent on a client's minibatches, one after the other."""
    weights = [tensor.copy() for tensor in weights]
    x, y = windows(client)
    for start in range(0, steps * BATCH, BATCH):
        step(weights, x[start : start + BATCH], y[start : start + BATCH])
    return weights


def step(weights: list[Any], x: Array, y: Array) -> None:
    """Take a step down the squared error of two hidden layers of ReLU."""
    first = np.maximum(x @ weights[0] + weights[1], 0)
    second = np.maximum(first @ weights[2] + weights[3], 0)
    error = (second @ weights[4] + weights[5] - y) * np.float32(2 / len(x))
    at_second = error @ weights[4].T * (second > 0)
    at_first = at_second @ weights[2].T * (first > 0)
    gradients = (x.T @ at_first, at_first.sum(0), first.T @ at_second, at_second.sum(0), second.T @ error, error.sum(0))
    for tensor, gradient in zip(weights, gradients, strict=True):
        tensor -= RATE * gradient
