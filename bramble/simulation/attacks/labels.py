"""A label flip: what came after each window is told the wrong way round."""

from __future__ import annotations

import numpy as np

from bramble.simulation.attacks.base import Attack
from bramble_client.learn.windows import Windows
from bramble_protocol.graph import Manifest


class Labels(Attack):
    """Trains on wrong targets: of ``n`` classes each ``c`` is told as ``n - 1 - c``, and a number is mirrored about their mean.

    After Tolpegin et al. 2020. What it trains then goes out as it is, no longer than an honest client's.
    """

    @classmethod
    def refuses(cls, manifest: Manifest) -> str | None:
        """Refuse a task that has no targets to tell wrongly."""
        return None if manifest.kind.classes or manifest.kind.name == "forecast" else "learns from no labels"

    def reads(self, windows: Windows, manifest: Manifest) -> Windows:
        """Return the same windows with wrong targets; what is known of each target stays."""
        classes, wrong = len(manifest.kind.classes), {}
        for target in manifest.interface.targets:
            told = windows.targets[target.name]
            if not target.mask:
                told = (classes - 1 - told if classes else 2 * np.mean(told, axis=0) - told).astype(told.dtype)
            wrong[target.name] = told
        return Windows(windows.inputs, wrong, windows.time)
