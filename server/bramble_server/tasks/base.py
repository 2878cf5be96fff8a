"""What a task says of itself: channels, windows, a Keras model, a loss and a metric. A new task is one file beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from bramble_protocol.graph import Manifest, Metric
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel, TrainConfig

Tensor = Any
"""A TensorFlow tensor. TensorFlow itself is imported only inside the methods that build a graph: serving never needs it."""


class Task(ABC):
    """What a fleet learns. Attributes are the manifest's, see ``bramble_protocol.graph.Manifest``.

    The methods see batches: ``x`` of shape (N, window, channels) and ``y`` of shape (N,), both in their channels' units, and
    ``output`` of shape (N,), what the Keras model made of ``x``. They return one value a row, shape (N,); the exporter
    takes the weighted means.
    """

    name: str
    description: str
    channels: tuple[Channel, ...]
    window: int
    step_s: float
    horizon: int
    target: str
    metric: Metric
    config: TrainConfig
    seed: int = 0
    """Seed of the initial weights."""
    clip_norm: float = 1.0
    """Longest gradient that a training step follows, over all weights: a broken sensor's run cannot explode then."""

    @abstractmethod
    def model(self) -> Any:
        """Build the Keras model: input (window, channels), one output a row."""

    @abstractmethod
    def forecast(self, x: Tensor, output: Tensor) -> Tensor:
        """Turn the model's output into the forecast, in the target's unit."""

    @abstractmethod
    def loss(self, x: Tensor, y: Tensor, output: Tensor) -> Tensor:
        """Return what training minimises, row by row."""

    @abstractmethod
    def error(self, y: Tensor, forecast: Tensor) -> Tensor:
        """Return the metric's error of each row; its mean over rows is what the metric transforms."""

    @abstractmethod
    def baseline(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the error of the baseline forecast, row by row."""

    def doubt(self, x: Tensor, y: Tensor) -> Tensor:
        """Return how far each window and its target lie from what can be, as a part of the bound: above 1 no client trains on it.

        A task that has no such bound leaves this out, and its graph has no opinion.
        """
        raise NotImplementedError

    def manifest(self, layout: Layout) -> Manifest:
        """Describe the task for those who serve and run its graph."""
        return Manifest(
            task=self.name,
            description=self.description,
            channels=self.channels,
            window=self.window,
            step_s=self.step_s,
            horizon=self.horizon,
            target=self.target,
            layout=layout,
            metric=self.metric,
            config=self.config,
        )
