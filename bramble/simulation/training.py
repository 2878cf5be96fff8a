"""What a worker does for a simulated client: its local run, by the client's own code, and a model's error where nobody trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bramble.simulation.attacks import Attack
from bramble.simulation.places import Place
from bramble_client.learn.counting import first_output
from bramble_client.learn.fitting import Model
from bramble_client.learn.pace import Pace
from bramble_client.learn.plausibility import WindowDoubts, plausible
from bramble_client.learn.runtime import Graph
from bramble_client.learn.trainer import Ready, Result, local_run, measure
from bramble_client.learn.windows import Windows
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate, Timing

EPOCH = 1_672_531_200.0
"""Where the simulated clock starts, seconds since 1970 UTC: 2023-01-01. The same for all, for the same bits."""


@dataclass
class Clock:
    """A clock that stands still unless it is told how late it is."""

    now: float = 0.0
    """Seconds since the simulation began."""

    def monotonic(self) -> float:
        """Return seconds since the simulation began."""
        return self.now

    def time(self) -> float:
        """Return seconds since 1970 UTC."""
        return EPOCH + self.now


UNHURRIED = Pace(clock=Clock())
"""How clients train: no call of the graph takes any time, so that a run is not cut into several where the machine is busy."""


@dataclass(frozen=True)
class Training:
    """One client's local run, apart from what it was asked and from its place's readings."""

    client: str
    windows: slice
    """Which of its place's windows it knows."""
    begins: float
    """When it is asked, in seconds of the simulated clock."""
    ends: float
    """When its answer comes."""
    tested_until: float | None
    """What it remembers of the last answer that the server took, as has ``local_state``."""
    local_state: str | None
    good: NDArray[np.bool_] | None
    """Which of them the graph does not doubt, as :func:`doubted` found; None if it has no opinion."""
    attack: Attack | None = None
    """What it does in place of an honest client."""


class Known(WindowDoubts):
    """Doubts of windows that were judged before: those of a simulated client are the same in each round."""

    def __init__(self, good: NDArray[np.bool_] | None) -> None:
        super().__init__()
        self._known = good

    def _good(self, graph: Graph, data: Windows) -> NDArray[np.bool_] | None:
        return self._known


def doubted(runtime: Graph, graph: GraphFile, place: Place, _: None = None) -> NDArray[np.bool_] | None:
    """Return which of the windows that clients of a place know the graph does not doubt, shape (n,); None if it has no opinion."""
    return plausible(runtime, place.known)


def train(runtime: Graph, graph: GraphFile, asked: ClientUpdate, place: Place, training: Training) -> Result | str:
    """Return what a client answers, or the reason why it cannot."""
    attack, own = training.attack, place.known[training.windows]
    windows, doubts = own, WindowDoubts() if attack and not attack.lies else Known(None if attack else training.good)
    if attack:
        windows = attack.reads(own, graph.manifest)
    ready = Ready(graph.manifest, graph.state, windows, doubts, training.client, personal=False)
    came = Clock(training.begins).time()
    timing, ends = Timing(came, came, came), Clock(training.ends)
    try:
        result = local_run(runtime, ready, asked, training.tested_until, training.local_state, timing, UNHURRIED, ends)
    except BrambleError as error:
        return str(error)
    if not attack or not attack.lies:
        return result
    true = measure(runtime, own, Model(asked.weights, graph.state).arguments(graph.manifest))
    weights = attack.sends(asked.weights, result.complete.weights)
    told = {"loss_before": true["loss"], "loss_after": true["loss"]}  # an honest client's whom a round brought nothing
    return replace(result, complete=replace(result.complete, weights=weights, metrics=told))


def score(runtime: Graph, graph: GraphFile, model: Weights, place: Place, kind: str) -> float:
    """Return the mean of one of the task's measures over a place's windows that were held out."""
    return measure(runtime, place.held_out, Model(model, graph.state).arguments(graph.manifest))[kind]


def reached(runtime: Graph, graph: GraphFile, model: Weights, place: Place, attack: Attack) -> float:
    """Return how far a model does at a place what an attack wants of it, for one that wants something at a sign."""
    marked, arguments = attack.marked(place.held_out, graph.manifest), Model(model, graph.state).arguments(graph.manifest)
    assert marked is not None
    plain, turned = (first_output(runtime, graph.manifest, data, arguments) for data in (place.held_out, marked))
    return attack.success(plain, turned, place.held_out, graph.manifest)
