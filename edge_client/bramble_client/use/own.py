"""What a client keeps of a model for its own site, beside the global one: a personal model, and how they stand. It is sent to nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.windows import Windows
from bramble_client.use.drift import DAY, Day, Drift
from bramble_client.use.standing import BASELINE, BLEND, GLOBAL, PERSONAL, Standing
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Weights

NEWEST = 100
"""Windows that are trained on even where fewer came since a site changed."""
LARGEST = 250_000
"""Weights up to which a personal model is kept: 1 MB. It is written with each round, and a card of flash lives by how much is."""
_ALIKE = 1e-3


@dataclass(frozen=True, eq=False)
class Own:
    """Of one task."""

    personal: Weights | None = None
    """The weights that this client's last run ended with, shape (layout.size,): the global model, fine-tuned here; None before any."""
    standing: Standing = field(default_factory=Standing)
    drift: Drift = field(default_factory=Drift)
    """Of the global model's error."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to keep."""
        return self.personal is None and not self.standing.scores and self.drift == Drift()

    def scored(
        self, error: Callable[[Weights], float], model: Weights, tested: Mapping[str, float], fresh: Windows, manifest: Manifest
    ) -> Own:
        """Return it after all models were scored on windows that none of them was trained on.

        Parameters
        ----------
        error
            Returns the mean error of weights on these windows.
        model
            The best global weights that came.
        tested
            Their ``error`` and ``baseline``.
        fresh
            The windows.
        """
        errors = {GLOBAL: tested["error"]}
        if self.personal is not None:
            errors |= {PERSONAL: error(self.personal), BLEND: error(blend(model, self.personal))}
        without = () if persists(fresh, manifest, tested["baseline"]) else (BASELINE,)
        return replace(self, standing=self.standing.scored(errors, tested["baseline"], len(fresh), without))

    def watched(self, error: Callable[[Windows], float], fresh: Windows) -> Own:
        """Return it after the best global model's error was looked at day by day.

        Parameters
        ----------
        error
            Returns the mean error on some windows.
        fresh
            New ones, in order of time.
        """
        number = np.floor(fresh.time / DAY).astype(int)
        parts = ((day, fresh[number == day]) for day in np.unique(number).tolist())
        return replace(self, drift=self.drift.after(Day(day, error(part) * len(part), len(part)) for day, part in parts))

    def recent(self, data: Windows) -> Windows:
        """Return those windows that are of the site as it is since its error rose last, or a few more."""
        if self.drift.changed is None:
            return data
        since = int(np.searchsorted(data.time, self.drift.changed * DAY))
        return data[max(0, min(since, len(data) - NEWEST)) :]

    def trained(self, weights: Weights) -> Own:
        """Return it after a run that ended with these weights."""
        return replace(self, personal=weights if weights.size <= LARGEST else None)

    def weights(self, model: Weights, baseline: bool = True) -> tuple[str, Weights | None]:
        """Return what is in use, and its weights, given the global ones; None where that is the baseline, if that can be gone by."""
        chosen = self.standing.in_use
        if chosen == BASELINE:
            return (chosen, None) if baseline else (GLOBAL, model)
        if self.personal is None or chosen == GLOBAL:
            return GLOBAL, model
        return (chosen, self.personal) if chosen == PERSONAL else (chosen, blend(model, self.personal))


def blend(model: Weights, personal: Weights) -> Weights:
    """Return the mean of two models' weights, which started from one another: the error along the way between them has no hill
    (Wortsman et al. 2022, model soups).
    """
    return ((model + personal) / 2).astype(np.float32)


def persistence(windows: Windows, manifest: Manifest) -> NDArray[np.float32] | None:
    """Return the last value of the target's channel in each window, shape (n,); None if that is no input, or nothing is forecast."""
    for part in manifest.interface.inputs if manifest.kind.forecasts else ():
        if manifest.target in part.channels and part.dtype == "float32" and not part.mask:
            found: NDArray[np.float32] = windows.inputs[part.name][:, -1, part.channels.index(manifest.target)]
            return found
    return None


def persists(windows: Windows, manifest: Manifest, baseline: float) -> bool:
    """Whether what the graph calls the baseline is persistence, by its error on these windows: then it can be gone by without the graph."""
    last = persistence(windows, manifest)
    if last is None:
        return False
    target = windows.targets[manifest.interface.targets[0].name].reshape(len(windows), -1)
    off = np.abs(target - last[:, None])
    return any(abs(float(means) - baseline) <= _ALIKE * (baseline + _ALIKE) for means in ((off**2).mean(), off.mean()))
