"""What a client counts of its tests for the server to pool: confusion, errors by size, and errors of each target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.runtime import Graph, result
from bramble_client.learn.windows import Windows
from bramble_protocol import kinds
from bramble_protocol.graph import Manifest
from bramble_protocol.kinds import Counts

CHUNK = 1024
"""Windows measured in one go, so that the memory for a model's activations has an end."""
LARGEST_ANSWER = 4 << 20
"""Bytes of outputs that are asked for in one go, if one window's are not more."""


def counts(runtime: Graph, manifest: Manifest, fresh: Windows, data: Windows, model: dict[str, NDArray[np.float32]]) -> Counts:
    """Return what :func:`bramble_protocol.kinds.counted` says of a task, but for what is all zeros.

    Parameters
    ----------
    fresh
        Windows that arrived since the client last trained; of a task that reconstructs, known faults too.
    data
        All its windows.
    model
        The weights to be judged, as the graph's signatures name them.
    """
    if manifest.kind.name == "classify":
        found = {kinds.CONFUSION: confusion(runtime, manifest, fresh, model)}
    elif manifest.kind.name == "reconstruct":
        fault, known = faults(manifest, fresh), faults(manifest, data)
        parts = {kinds.FRESH: fresh[~fault], kinds.ALL: data[~known], kinds.FAULTS: fresh[fault]}
        found = {name: histogram(first_output(runtime, manifest, part, model)) for name, part in parts.items()}
    else:
        found = _of_targets(runtime, manifest, fresh, model)
    return {name: tuple(vector.tolist()) for name, vector in found.items() if vector.any()}


def confusion(runtime: Graph, manifest: Manifest, data: Windows, model: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return how many windows of each class were found to be of each, shape (classes * classes,), the true ones' rows in turn."""
    count = len(manifest.kind.classes)
    true = data.targets[manifest.interface.targets[0].name]
    chosen = first_output(runtime, manifest, data, model).argmax(1)
    return np.bincount(true * count + chosen, minlength=count * count).astype(np.float64)


def trusted(manifest: Manifest, data: Windows) -> Windows:
    """Return the windows that are not known to be faults."""
    if manifest.kind.name != "reconstruct":
        return data
    known = faults(manifest, data)
    return data[~known] if known.any() else data


def faults(manifest: Manifest, data: Windows) -> NDArray[np.bool_]:
    """Return which windows are known to be faults, shape (n,); none of a task that has no such target."""
    if manifest.kind.name != "reconstruct" or not manifest.interface.targets:
        return np.zeros(len(data), bool)
    known: NDArray[np.bool_] = data.targets[manifest.interface.targets[0].name] == 1
    return known


def histogram(errors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how many errors lie in each of the contract's bins, shape (BINS,); what is no number lies in the last."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.floor(np.log10(errors.astype(np.float64) / kinds.LOWEST) * kinds.PER_DECADE) + 1
    place = np.clip(np.nan_to_num(place, nan=kinds.BINS, posinf=kinds.BINS, neginf=0), 0, kinds.BINS - 1)
    return np.bincount(place.astype(np.int64), minlength=kinds.BINS).astype(np.float64)


def first_output(runtime: Graph, manifest: Manifest, data: Windows, model: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what the graph gives first for each window, shape (n, ...)."""
    first = manifest.interface.outputs[0]
    rows = max(1, min(CHUNK, LARGEST_ANSWER // manifest.interface.answer))
    parts = [result(runtime("infer", **part.inputs, **model), first.name, (len(part), *first.shape)) for part in data.parts(rows)]
    return np.concatenate([np.empty((0, *first.shape), np.float32), *parts])


def _of_targets(runtime: Graph, manifest: Manifest, data: Windows, model: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    face = manifest.interface
    apart = [target for target in face.targets if target.name in face.measured]
    found = {f"target.{target.name}": np.zeros(3) for target in apart}
    for part in data.parts(CHUNK) if apart else ():
        means = runtime("evaluate", **part.inputs, **part.targets, sw=np.ones(len(part), np.float32), **model)
        for target in apart:
            mask = face.mask_of(target)
            count = len(part) if mask is None else float(part.targets[mask.name].reshape(len(part), -1).min(1).sum())
            sums = [float(result(means, f"{name}_{target.name}", ())) * count for name in ("error", "baseline")]
            found[f"target.{target.name}"] += (count, *sums)
    return found
