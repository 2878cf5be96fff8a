"""What models are worth on readings that they were not trained on: they are tried there, and nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bramble_client.learn import counting, local_state
from bramble_client.learn.fitting import Model, TrainingFault
from bramble_client.learn.pace import BrokenOff
from bramble_client.learn.runtime import Graph
from bramble_client.learn.trainer import DIVERGED, NotEnoughData, Ready, measure
from bramble_protocol import kinds
from bramble_protocol.kinds import Counts
from bramble_protocol.layout import Weights


class Scores(NamedTuple):
    """What models were worth on windows that none of them was trained on."""

    samples: int
    baseline: float
    """Mean of the task's baseline over them."""
    errors: dict[str, float]
    """Means of the task's error, by what the server calls each model."""
    counts: dict[str, Counts] | None
    """What the task has clients count of each model; None of a task that has nothing counted."""
    until: float
    """Time of the newest target among them."""


def score(
    runtime: Graph, ready: Ready, models: Mapping[str, Weights], since: float | None, noted: str | None, spare: Callable[[], bool],
    whole: int = 1,
) -> Scores:  # fmt: skip
    """Try models on the windows whose target was measured after a time: each on the same ones.

    Parameters
    ----------
    models
        Weights of each, shape (layout.size,), by its name.
    since
        Up to when the windows go that are left out, seconds since 1970-01-01 UTC; None leaves none out.
    noted
        What the last run left, as :mod:`bramble_client.learn.local_state` writes it.
    spare
        Whether it may go on; asked before each model.
    whole
        Only a multiple of so many windows is taken, the oldest ones.

    Raises
    ------
    NotEnoughData
        If there are not as many.
    BrokenOff
        If it is not to go on.
    TrainingFault
        If a model gives no number.
    Unbelievable, GraphFailed
        If most readings cannot be true, or the graph cannot be run.
    """
    fresh = ready.doubts.believable(runtime, ready.data).since(since)
    data = fresh[: len(fresh) // whole * whole]
    if not len(data):
        raise NotEnoughData(f"{len(fresh)} windows are new since this client trained, of {whole} needed")
    counts = bool(kinds.counted(ready.manifest))
    state = local_state.read(noted, ready.manifest, ready.initial).state
    found: dict[str, dict[str, float]] = {}
    counted: dict[str, Counts] = {}
    for name, weights in models.items():
        if not spare():
            raise BrokenOff("something is to be trained")
        model = Model(weights, state).arguments(ready.manifest)
        found[name] = measure(runtime, data, model)
        if counts:
            counted[name] = counting.counts(runtime, ready.manifest, data, data, model)
        if not found[name]["error"] < DIVERGED:  # written so that a NaN fails too
            raise TrainingFault(f"model {name} gives no number here")
    baseline = next(iter(found.values()))["baseline"]
    errors = {name: each["error"] for name, each in found.items()}
    return Scores(len(data), baseline, errors, counted if counts else None, float(data.time[-1]))
