"""What a model says of the newest readings: the window whose target is still to come, through the graph's ``infer``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.fitting import Model
from bramble_client.learn.runtime import Graph, result
from bramble_client.learn.windows import Windows, windows
from bramble_client.use.own import Own, persistence
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Weights

Columns = Callable[[Sequence[str], float | None], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""As :data:`bramble_client.learn.trainer.Columns`."""


@dataclass(frozen=True)
class Inference:
    """What comes of one window."""

    measured: float
    """When the window's last bin was measured, seconds since 1970-01-01 UTC."""
    at: float
    """When what is forecast will be, likewise."""
    in_use: str
    """What it was forecast with, one of ``bramble_client.use.standing.CHOICES``."""
    outputs: dict[str, Any]
    """What the graph gives, by name: numbers or lists of them. Where the baseline is in use, the first is that."""


def newest(columns: Columns, last: float, manifest: Manifest) -> Windows:
    """Return the newest window of whole bins, or none.

    Parameters
    ----------
    columns
        The recorder's.
    last
        When the newest reading was taken: the bin that it is in is still filling.
    manifest
        The task's.
    """
    since = (np.floor(last / manifest.step_s) - manifest.window - manifest.stride + 1) * manifest.step_s
    found = windows(*columns([channel.key for channel in manifest.channels], float(since)), manifest, open_ended=True)
    return found[-1:]


def infer(graph: Graph, manifest: Manifest, window: Windows, model: Weights, state: Weights, own: Own) -> Inference:
    """Forecast from one window with what is in use here.

    Parameters
    ----------
    graph
        Runs ``infer``.
    window
        One, as :func:`newest` returns it.
    model
        The global weights.
    state
        What the layers noted here.
    own
        What this client keeps beside.

    Raises
    ------
    GraphFailed
        If the graph gives up, or not what its manifest promises.
    """
    last = persistence(window, manifest)
    in_use, weights = own.weights(model, baseline=last is not None)
    measured = float(window.time[-1])
    at = measured + manifest.horizon * manifest.step_s
    first = manifest.interface.outputs[0]
    if weights is None:
        assert last is not None
        value = last[0] if not first.shape else np.full(first.shape, last[0])
        return Inference(measured, at, in_use, {first.name: value.tolist()})
    found = graph("infer", **window.inputs, **Model(weights, state).arguments(manifest))
    outputs = {part.name: result(found, part.name, (1, *part.shape), part.dtype)[0].tolist() for part in manifest.interface.outputs}
    return Inference(measured, at, in_use, outputs)


def forecast_in(manifest: Manifest, outputs: Mapping[str, Any]) -> float | None:
    """Return the forecast of the manifest's target among what a graph gave, at its last horizon; None if there is none."""
    if not manifest.kind.forecasts:
        return None
    first, target = manifest.interface.outputs[0], manifest.interface.targets[0]
    if (first.shape, first.dtype) != (target.shape, "float32"):
        return None
    value = outputs[first.name]
    return float(value[-1] if first.shape else value)
