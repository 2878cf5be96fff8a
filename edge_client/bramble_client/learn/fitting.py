"""A local run over its minibatches, in one call of the graph or in several that give the same bits."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.pace import UNBOUND, BrokenOff, NotNow, Pace
from bramble_client.learn.runtime import Graph, result
from bramble_client.learn.windows import Windows
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import TrainConfig

logger = logging.getLogger(__name__)

MOST_VISITS = 4_000_000
"""Window visits in one run: epochs times windows. Their shuffled order takes 8 bytes each."""
CALL_S = 0.5
"""Seconds of a call, so that handing windows over costs little beside it, and at least half of that; a run of no more stays whole."""
FIRST, FIRST_WEIGHTS = 1000, 8_000_000
"""Most steps of a run's first call, by which the others are measured; and as many weights as they may move in all."""

STEP_OVER_TEST = 3
"""How much longer a window takes in a training step than in a test, at least: by that the first call is made no longer than the others."""
HOPELESS = 2.0
"""Times the seconds that are left which a run must seem to take yet to be given up, where only a whole one is of use."""

DRAWN = 1_000_000
"""Random numbers that one call is handed, of 4 bytes each; at least those of a step."""

Draw = Callable[[int, int], NDArray[np.float32]]
"""Returns so many numbers, uniform in [0, 1), for a step by its number: the same ones each time."""
Shuffle = Callable[[int], NDArray[np.intp]]
"""Returns the numbers below its argument in another order each time."""


class TrainingFault(BrambleError):
    """A run cannot be done as configured, or came to nothing; the text names the setting to change."""


@dataclass(frozen=True)
class Model:
    """A model's numbers as they go from call to call: weights, and the state of layers that keep one."""

    weights: Weights
    state: Weights

    def arguments(self, manifest: Manifest) -> dict[str, NDArray[np.float32]]:
        """Name its tensors as a graph's signatures do."""
        return {**arguments(manifest.layout, self.weights), **arguments(manifest.interface.state, self.state, "s")}


class Run:
    """A local run that has done some of its steps.

    Parameters
    ----------
    graph
        Runs the steps.
    manifest
        The graph's.
    data
        All windows.
    start
        Where it begins.
    minibatches
        Rows of windows and their weights, as :func:`minibatches` gives them.
    config
        The round's.
    anchor
        What FedProx's ``mu`` pulls towards, shape (layout.size,); the weights that it begins with by default.
    correction
        What is added to every step's gradient, shape (layout.size,); zeros by default.
    momentum
        Part of the last step that goes into the next.
    clip
        Longest gradient, over all weights; the task's own by default.
    draw
        What layers drop something out by, if there are such.

    Raises
    ------
    TrainingFault
        If the graph is of format 1, which has neither correction, momentum nor an anchor or a clip of one's own.
    """

    def __init__(
        self,
        graph: Graph,
        manifest: Manifest,
        data: Windows,
        start: Model,
        minibatches: tuple[NDArray[np.int32], NDArray[np.float32]],
        config: TrainConfig,
        *,
        anchor: Weights | None = None,
        correction: Weights | None = None,
        momentum: float = 0.0,
        clip: float | None = None,
        draw: Draw | None = None,
    ) -> None:
        self._draw = draw or drawn_by("")
        self._graph, self._manifest, self._minibatches = graph, manifest, minibatches
        self.model, self.left = start, len(minibatches[0])
        self._windows = {**data.inputs, **data.targets}
        self._settings: dict[str, Any] = {"lr": np.float32(config.learning_rate), "mu": np.float32(config.proximal_mu)}
        self._fixed: dict[str, NDArray[Any]] = {}
        self._slots: dict[str, NDArray[Any]] = {}
        layout, face = manifest.layout, manifest.interface
        if manifest.format == 1:
            if anchor is not None or correction is not None or momentum or clip is not None:
                raise TrainingFault(
                    f"graph: that of task {manifest.task} is of format 1, which takes no anchor, correction, momentum or clip; "
                    "export it again with this version of Bramble"
                )
            return
        self._settings |= {"momentum": np.float32(momentum), "clip": np.float32(face.clip_norm if clip is None else clip)}
        nothing = list(layout.split(np.zeros(layout.size, np.float32)))
        self._fixed = named("anchor", layout.split(start.weights if anchor is None else anchor))
        self._fixed |= named("correction", nothing if correction is None else layout.split(correction))
        for slot in face.slots:
            self._slots |= named(slot, nothing)

    @property
    def done(self) -> int:
        """Steps that it has done."""
        return len(self._minibatches[0]) - self.left

    @property
    def whole(self) -> bool:
        """Whether all steps must be done in one call: in format 1 FedProx pulls towards whatever a call begins with."""
        return self._manifest.format == 1

    def advance(self, steps: int) -> None:
        """Do so many of the steps that are left, or all of them."""
        steps, draws = self.left if self.whole else min(steps, self.left), self._manifest.interface.draws
        most = max(1, DRAWN // (draws * self._minibatches[0].shape[1])) if draws and steps else steps
        for begun in range(0, steps, most) if most else (0,):
            self._advance(min(most, steps - begun), draws)

    def _advance(self, steps: int, draws: int) -> None:
        idx, sw = (part[self.done : self.done + steps] for part in self._minibatches)
        layout, states = self._manifest.layout, self._manifest.interface.state
        given = {
            **self._windows,
            "idx": idx,
            "sw": sw,
            **self._settings,
            **self._fixed,
            **self._slots,
            **self.model.arguments(self._manifest),
        }
        if draws:
            drawn = [self._draw(self.done + step, idx.shape[1] * draws) for step in range(steps)]
            given["draws"] = np.reshape(np.concatenate(drawn) if drawn else np.empty(0, np.float32), (steps, idx.shape[1], draws))
        found = self._graph("fit" if self.whole else "descend", **given)
        self.model = Model(
            layout.join([result(found, f"next_w{i}", tensor.shape) for i, tensor in enumerate(layout.tensors)]),
            np.concatenate([self.model.state[:0], *(result(found, f"next_s{i}", t.shape).ravel() for i, t in enumerate(states.tensors))]),
        )
        self._slots = {name: result(found, f"next_{name}", tensor.shape) for name, tensor in self._slots.items()}
        self.left -= steps


def fit(
    graph: Graph,
    manifest: Manifest,
    data: Windows,
    start: Model,
    config: TrainConfig,
    shuffle: Shuffle,
    pace: Pace = UNBOUND,
    *,
    tested: float = 0.0,
    part_counts: bool = False,
    correction: Weights | None = None,
    momentum: float = 0.0,
    draw: Draw | None = None,
) -> Run:
    """Train for ``config.epochs`` epochs; a long run in several calls of the graph, between which it may be broken off.

    Parameters
    ----------
    pace
        What it goes by between them.
    tested
        Seconds that a test of all windows took, and will take once more afterwards.
    part_counts
        Whether a run that must end before its last step is of use.
    correction, momentum, draw
        As a :class:`Run` takes them.

    Raises
    ------
    TrainingFault
        If that is more than a client does in one run, or in the time that it has.
    BrokenOff
        If it is no longer wanted.
    NotNow
        If it may not go on.
    """
    visits = config.epochs * len(data)
    if visits > MOST_VISITS:
        raise TrainingFault(f"{config.epochs} epochs of {len(data)} windows are more than {MOST_VISITS} visits in one run; lower epochs")
    run = Run(
        graph, manifest, data, start, minibatches(len(data), config, shuffle), config, correction=correction, momentum=momentum, draw=draw
    )
    steps, each = _first(tested * config.batch_size / len(data), manifest.layout), 0.0
    while run.left:
        if not pace.wanted():
            raise BrokenOff(f"broken off with {run.left} steps to go")
        seconds, to_go = pace.left - tested, run.left * each
        in_time = seconds > each if part_counts else seconds > to_go / HOPELESS
        halted = pace.halted()
        if halted or not in_time:
            if part_counts and run.done:
                logger.info("ended after %d of %d steps: %s", run.done, run.done + run.left, halted or "its time is up")
                return run
            raise NotNow(halted) if halted else TrainingFault(_too_long(run, to_go, seconds))
        before, began = run.left, pace.clock.monotonic()
        run.advance(min(steps, int(seconds / each)) if part_counts and to_go > seconds else steps)
        worked = pace.clock.monotonic() - began
        each = worked / (before - run.left)
        to_go = run.left * each
        steps = run.left if to_go <= CALL_S else max(1, round(min(CALL_S, to_go / 2) / each))
        if run.left:
            pace.breathe(worked, seconds - worked - (0.0 if part_counts else run.left * each))
    return run


def drawn_by(seed: str) -> Draw:
    """Return what draws by a seed; a step's numbers are the same however many steps a call does."""

    def draw(step: int, count: int) -> NDArray[np.float32]:
        # numpy has a generator, too, but it takes 4 MB of a client's memory
        whole = np.frombuffer(random.Random(f"{seed} {step}").randbytes(4 * count), "<u4")
        return (whole >> 8).astype(np.float32) * np.float32(2**-24)

    return draw


def _first(tested: float, layout: Layout) -> int:
    """Return how many steps the first call does: how long they take can only be guessed, by the seconds of a test of as many windows."""
    by_time = CALL_S / (STEP_OVER_TEST * tested) if tested else math.inf
    return max(1, int(min(FIRST, FIRST_WEIGHTS // layout.size, by_time)))


def _too_long(run: Run, to_go: float, seconds: float) -> str:
    steps = run.done + run.left
    takes = f", and the others would take {to_go:.0f} s" if to_go else ""
    return (
        f"{run.done} of {steps} steps are done with {max(0.0, seconds):.0f} s left of the round{takes}; lower epochs, raise the deadline, "
        "or go by a strategy that takes part of a run, such as fednova"
    )


def arguments(layout: Layout, values: Weights, kind: str = "w") -> dict[str, NDArray[np.float32]]:
    """Name a flat vector's tensors as a graph's signatures do."""
    return named(kind, layout.split(values))


def named(kind: str, tensors: Iterable[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Name tensors, given in layout order, as a graph's signatures do."""
    return {f"{kind}{i}": tensor for i, tensor in enumerate(tensors)}


def minibatches(count: int, config: TrainConfig, shuffle: Shuffle) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Shuffle all windows anew for each epoch and cut them into minibatches.

    Returns
    -------
    idx, sw
        Rows of windows and their weights, shape (steps, batch): an epoch's last minibatch is filled up, from the epoch's first rows,
        with weight 0. A layer that normalises by its batch sees ordinary windows there, too.
    """
    size = min(config.batch_size, count)
    steps = -(-count // size)
    idx = np.empty((config.epochs, steps * size), np.int32)
    sw = np.ones((config.epochs, steps * size), np.float32)
    sw[:, count:] = 0
    for order in idx:
        order[:count] = shuffle(count)
        order[count:] = order[: steps * size - count]
    return idx.reshape(-1, size), sw.reshape(-1, size)
