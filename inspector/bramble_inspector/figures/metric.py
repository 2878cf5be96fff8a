"""A task's error as a person reads it: its transform, its unit, its baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bramble.api import JSON
from bramble_inspector.feed import Snapshot


class Metric:
    """Formats the means of ``test_error`` and ``test_baseline`` that clients report, by the task's manifest."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        metric: JSON = manifest.get("metric") or {}
        self.name = str(metric.get("name", "error"))
        self.unit = str(metric.get("unit", ""))
        self.baseline = str(metric.get("baseline", "baseline"))
        self._root = metric.get("transform") == "sqrt"

    @property
    def short_baseline(self) -> str:
        """The baseline's name without its explanation."""
        return self.baseline.split(":")[0]

    @property
    def title(self) -> str:
        """Name and unit, for an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def value(self, mean: float | None) -> float | None:
        """Apply the transform, last of all, to a pooled mean."""
        if mean is None or not math.isfinite(mean):
            return None
        return math.sqrt(max(mean, 0.0)) if self._root else mean

    def text(self, mean: float | None) -> str:
        """Return the value with its unit, or a dash."""
        value = self.value(mean)
        return "–" if value is None else f"{value:.3g} {self.unit}".strip()

    def gain(self, measures: Mapping[str, Any]) -> float | None:
        """Return by which part the error is below the baseline's; negative where the baseline is better."""
        error, baseline = self.value(measures.get("test_error")), self.value(measures.get("test_baseline"))
        return None if error is None or not baseline else 1 - error / baseline

    def compared(self, measures: Mapping[str, Any]) -> str:
        """Return how the error compares with the baseline, in words."""
        gain = self.gain(measures)
        if gain is None:
            return ""
        side = "below" if gain >= 0 else "above"
        return f"{abs(gain):.0%} {side} {self.short_baseline} ({self.text(measures.get('test_baseline'))})"

    def latest(self, snapshot: Snapshot, client: str) -> str:
        """Return a client's error in the last round that tested on it, against the baseline."""
        for entry in reversed(snapshot.committed):
            measures = entry.get("clients", {}).get(client, {})
            if measures.get("test_error") is not None:
                return f"{self.text(measures['test_error'])}, {self.short_baseline} {self.text(measures.get('test_baseline'))}"
        return ""
