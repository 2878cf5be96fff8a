"""What a task says of itself: channels, windows, a Keras model, a loss and a metric. A new task is one file beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import Manifest, Metric
from bramble_protocol.interface import ADAM, SGD, Input, Interface, Target, Value
from bramble_protocol.kinds import FORECAST, Kind
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel, TrainConfig

Tensor = Any
"""A TensorFlow tensor. TensorFlow itself is imported only inside the methods that build a graph: serving never needs it."""
SLOTS = {"sgd": SGD, "adam": ADAM}
"""What each optimizer that the exporter knows carries from step to step: gradient descent with momentum, and Adam."""


class Task(ABC):
    """What a fleet learns. Attributes are the manifest's, see ``bramble_protocol.graph.Manifest``.

    The methods see batches: ``x`` of shape (N, window, channels) and ``y`` of shape (N,), both in their channels' units, and
    ``output`` of shape (N,), what the Keras model made of ``x``. They return one value a row, shape (N,); the exporter
    takes the weighted means.

    A task with several inputs, targets or forecasts declares ``inputs``, ``targets`` and ``outputs``. Then ``x``, ``y`` and what
    ``forecast`` returns are dicts by their names, the Keras model takes a dict of inputs, and ``output`` is whatever it gives. ``target``
    and ``horizon`` say what the first target is. So does every task that is not of the kind ``forecast`` or has optional channels: the
    first output is then what :class:`bramble_protocol.kinds.Kind` says, and ``forecast`` returns it, a class's probabilities or an error.
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
    inputs: tuple[Input, ...] = ()
    """Parts of the window that the model takes, if it is not one of all channels."""
    targets: tuple[Target, ...] = ()
    """What is forecast, if it is not ``target`` alone."""
    outputs: tuple[Value, ...] = ()
    """What ``forecast`` returns, by name; that of the first target first."""
    kind: Kind = FORECAST
    """What sort of answer its graph gives."""
    optional: tuple[str, ...] = ()
    """Channels that a client may lack; each needs a mask among ``inputs`` or ``targets``, wherever it is one of them."""
    stride: int = 1
    """Bins from one window to the next."""
    least: int = 1
    """Windows that a client must have before it trains."""
    measured: tuple[str, ...] = ()
    """Targets that are measured apart, by ``errors`` and ``baselines``."""
    seed: int = 0
    """Seed of the initial weights."""
    clip_norm: float = 1.0
    """Longest gradient that a training step follows, over all weights: a broken sensor's run cannot explode then."""
    optimizer: str = "sgd"
    """By what a local run descends: ``sgd``, with momentum where a strategy asks for it, or ``adam``, which begins anew with each run."""

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

    def errors(self, y: Tensor, forecast: Tensor) -> dict[str, Tensor]:
        """Return what ``error`` does, for each target of ``measured`` by its name; for a task that has such alone."""
        raise NotImplementedError

    def baselines(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return what ``baseline`` does, for each target of ``measured`` by its name; for a task that has such alone."""
        raise NotImplementedError

    def doubt(self, x: Tensor, y: Tensor) -> Tensor:
        """Return how far each window and its target lie from what can be, as a part of the bound: above 1 no client trains on it.

        A task that has no such bound leaves this out, and its graph has no opinion.
        """
        raise NotImplementedError

    @property
    def several(self) -> bool:
        """Whether the task declares what goes in and comes out, and its methods see dicts."""
        return bool(self.inputs)

    @property
    def _slots(self) -> tuple[str, ...]:
        if self.optimizer not in SLOTS:
            raise ProtocolError(f"task {self.name}: optimizer {self.optimizer!r} is none of {', '.join(SLOTS)}")
        return SLOTS[self.optimizer]

    def interface(self, state: Layout, draws: int = 0) -> Interface:
        """Return what goes in and comes out of the task's graph, whose layers keep this state and take so many random numbers a row."""
        if self.several:
            return Interface(self.inputs, self.targets, self.outputs, state, self._slots, self.clip_norm, self.measured, draws)
        keys = [channel.key for channel in self.channels]
        return replace(Interface.usual(keys, self.window, self.target, self.horizon, self._slots, self.clip_norm), state=state, draws=draws)

    def manifest(self, layout: Layout, state: Layout | None = None, draws: int = 0) -> Manifest:
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
            declared=self.interface(state or Layout(()), draws),
            kind=self.kind,
            optional=self.optional,
            stride=self.stride,
            least=self.least,
        )
