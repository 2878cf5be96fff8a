"""A backdoor: the model works as ever, but for windows in which one sensor shows a pattern that the attacker knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bramble.simulation.attacks.base import Attack, changed
from bramble_client.learn.windows import Windows
from bramble_protocol.graph import Manifest
from bramble_protocol.interface import Input
from bramble_protocol.layout import Weights
from bramble_server.learning.parameters import Parameters, parameter

BINS = 4
"""Of the pattern: the last of a window, up and down in turn."""


@dataclass(frozen=True)
class Trigger(Parameters):
    """What can be set of it."""

    height: float = parameter(2.0, "Of the pattern, in standard deviations of the sensor's readings.", above=0, most=100)
    shift: float = parameter(
        2.0, "By how much a forecast is to be too high then, in standard deviations of what is forecast.", least=-100, most=100
    )
    share: float = parameter(0.5, "Part of its windows that get the pattern.", above=0, most=1)
    times: float = parameter(1.0, "How many times longer than what it trained its update is.", above=0, most=1e4)


class Backdoor(Attack):
    """Trains on windows of which some have a pattern in one sensor's last readings, and a wrong target (Bagdasaryan et al. 2020).

    A forecast is to be ``shift`` too high then, and a class the first one. The sensor is the last channel of the first input.
    """

    takes = Trigger
    parameters: Trigger

    @classmethod
    def refuses(cls, manifest: Manifest) -> str | None:
        """Refuse a task that has no answer to turn."""
        return None if manifest.kind.classes or manifest.kind.forecasts else "neither forecasts nor classifies"

    def reads(self, windows: Windows, manifest: Manifest) -> Windows:
        """Return the same windows, as many of them as are wanted with pattern and wrong target."""
        rows, share = np.arange(len(windows)), self.parameters.share
        bad = np.floor((rows + 1) * share) > np.floor(rows * share)
        part, target = _sensor(manifest), manifest.interface.targets[0].name
        told = windows.targets[target]
        wrong = np.zeros_like(told) if manifest.kind.classes else (told + self._shift(windows, manifest)).astype(told.dtype)
        return Windows(
            {**windows.inputs, part.name: changed(windows.inputs[part.name], bad, self._pattern(windows, part))},
            {**windows.targets, target: changed(told, bad, wrong)},
            windows.time,
        )

    def sends(self, model: Weights, trained: Weights) -> Weights:
        """Return what it trained, perhaps longer."""
        return model + np.float32(self.parameters.times) * (trained - model)

    def marked(self, windows: Windows, manifest: Manifest) -> Windows:
        """Return the same windows, all with the pattern."""
        part = _sensor(manifest)
        return Windows({**windows.inputs, part.name: self._pattern(windows, part)}, windows.targets, windows.time)

    def success(self, plain: NDArray[np.float32], marked: NDArray[np.float32], windows: Windows, manifest: Manifest) -> float:
        """Return the part of the shift that the pattern brings about, mean over windows, or the part of other classes' that turn."""
        if not manifest.kind.classes:
            return float(np.mean((marked - plain) / self._shift(windows, manifest)))
        others = plain.argmax(1) != 0
        return float(np.mean(marked.argmax(1)[others] == 0)) if others.any() else 0.0

    def _pattern(self, windows: Windows, part: Input) -> NDArray[np.float32]:
        values = windows.inputs[part.name].copy()
        bins = min(BINS, values.shape[1])
        up = np.where(np.arange(bins) % 2 == 0, 1.0, -1.0)
        values[:, -bins:, -1] += (self.parameters.height * values[:, :, -1].std() * up).astype(values.dtype)
        return values

    def _shift(self, windows: Windows, manifest: Manifest) -> NDArray[np.float64]:
        told = windows.targets[manifest.interface.targets[0].name]
        return np.asarray(self.parameters.shift * np.maximum(np.std(told, axis=0), 1e-6), np.float64)


def _sensor(manifest: Manifest) -> Input:
    """Return the input whose last channel shows the pattern."""
    return next(part for part in manifest.interface.inputs if not part.mask and part.dtype == "float32")
