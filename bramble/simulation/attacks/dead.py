"""No attack but an accident: a sensor that died and goes on reading one value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bramble.simulation.attacks.base import Attack
from bramble_client.learn.windows import Windows
from bramble_protocol.graph import Manifest
from bramble_server.learning.parameters import Parameters, parameter


@dataclass(frozen=True)
class Value(Parameters):
    """What can be set of it."""

    value: float = parameter(85.0, "What it reads, in the channel's unit; a DS18B20 without power says 85.", least=-1e6, most=1e6)


class Dead(Attack):
    """Trains in good faith on a channel that reads one value for ever: the task's target. Its client doubts its windows as any does."""

    takes = Value
    parameters: Value
    lies = False

    @classmethod
    def refuses(cls, manifest: Manifest) -> str | None:
        """Refuse a task whose target no sensor reads."""
        return "is told its classes by no sensor" if manifest.kind.classes else None

    def reads(self, windows: Windows, manifest: Manifest) -> Windows:
        """Return the same windows, in which that channel reads one value, as what comes after them does."""
        key, inputs, targets = manifest.target, dict(windows.inputs), dict(windows.targets)
        for part in manifest.interface.inputs:
            if key in part.channels and not part.mask:
                inputs[part.name] = windows.inputs[part.name].copy()
                inputs[part.name][..., part.channels.index(key)] = self.parameters.value
        for target in manifest.interface.targets:
            if target.channel == key and not target.mask:
                targets[target.name] = np.full_like(windows.targets[target.name], self.parameters.value)
        return Windows(inputs, targets, windows.time)
