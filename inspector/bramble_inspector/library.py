"""The models that a server keeps, and what clients found when they tried them: asked for only while somebody looks at them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bramble.api import JSON, Server, ServerError, ServerRefused
from bramble_inspector.feed import Snapshot

PAUSE_S = 2.0
"""Seconds between two looks: a fleet's status changes all the time, and its models seldom."""
EVALUATIONS = 50
"""Newest evaluations that are shown."""
WEIGHTS = 4
"""Models whose weights are kept; each is as large as it is."""
BINS, FEWEST = 41, 8
"""Bins of a histogram, and weights that a tensor has at least to be drawn in them."""


@dataclass(frozen=True)
class Shelf:
    """What is known of one task's models."""

    mark: int = 0
    """Grows with every change."""
    models: dict[int, JSON] = field(default_factory=dict)
    """By round, ascending."""
    evaluations: tuple[JSON, ...] = ()
    """Ascending."""
    said: str | None = None
    """Why nothing newer is known."""

    def latest(self) -> dict[str, dict[int, JSON]]:
        """Return for each client and model what the client found when it last tried it: ``error``, ``baseline``, ``samples``."""
        found: dict[str, dict[int, JSON]] = {}
        for evaluation in self.evaluations:
            for client, one in evaluation["clients"].items():
                for number, error in (one["errors"] or {}).items():
                    found.setdefault(client, {})[int(number)] = {"error": error, "baseline": one["baseline"], "samples": one["samples"]}
        return found


@dataclass
class _Kept:
    shelf: Shelf = field(default_factory=Shelf)
    seen: str = ""
    looked: float = float("-inf")


class Library:
    """Asks a server for its models on behalf of all pages."""

    def __init__(self, client: Server) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._kept: dict[str | None, _Kept] = {}
        self._weights: OrderedDict[tuple[str, int], dict[str, list[list[float]]]] = OrderedDict()

    def look(self, snapshot: Snapshot) -> Shelf:
        """Return what there is of the task that a snapshot is about."""
        if not snapshot.status:
            return Shelf(said="Nothing is known of the models yet: the server has not answered.")
        kept = self._kept.setdefault(snapshot.task, _Kept())
        with self._lock:
            seen, now = snapshot.changed["status"], time.monotonic()
            if seen != kept.seen and now - kept.looked >= PAUSE_S:
                kept.seen, kept.looked = seen, now
                kept.shelf = self._next(kept.shelf, _asked(snapshot))
        return kept.shelf

    def _next(self, old: Shelf, task: str | None) -> Shelf:
        try:
            models = {one["round"]: one for one in self._client.models(task)}
            new = replace(old, models=models, evaluations=tuple(self._client.evaluations(0, EVALUATIONS, task)), said=None)
        except ServerRefused as error:
            older = "The server is of a release that does not list its models; update it to see them here."
            new = replace(old, said=older if error.status == 404 else str(error))
        except ServerError as error:
            new = replace(old, said=str(error))
        return new if new == old else replace(new, mark=old.mark + 1)

    def histograms(self, snapshot: Snapshot, number: int) -> dict[str, list[list[float]]]:
        """Return for each tensor of a model where its weights lie: middles of bins, and the part of all weights in each.

        Raises
        ------
        ServerError
            If the server does not have the model, or cannot be asked.
        """
        key = (f"{snapshot.task} {snapshot.status.get('graph')} {self.look(snapshot).models.get(number, {}).get('ended')}", number)
        if key not in self._weights:
            tensors = self._client.model_of(number, _asked(snapshot))["weights"]
            flat = {name: np.asarray(values, dtype=np.float64).ravel() for name, values in tensors.items()}
            self._weights[key] = {name: _histogram(values) for name, values in flat.items() if values.size >= FEWEST}
            if len(self._weights) > WEIGHTS:
                self._weights.popitem(last=False)
        return self._weights[key]


def _asked(snapshot: Snapshot) -> str | None:
    """Return the task to ask for by name; None where there is one alone, for a server of release 0.1 knows of no names."""
    return snapshot.task if snapshot.several else None


def _histogram(values: Any) -> list[list[float]]:
    counts, bounds = np.histogram(values, BINS)
    return [((bounds[1:] + bounds[:-1]) / 2).tolist(), (counts / max(1, values.size)).tolist()]
