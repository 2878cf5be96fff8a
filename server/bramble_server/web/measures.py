"""What a round measured, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble_protocol.graph import Metric


def tested(metric: Metric, measures: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the test error as the task's metric, by name and unit, or None where nothing was tested.

    Parameters
    ----------
    measures
        A round's or a client's, with the means ``test_error`` and ``test_baseline`` over ``test_samples``.
    """
    error, baseline = measures.get("test_error"), measures.get("test_baseline")
    if error is None:
        return None
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "error": metric.read(error),
        "baseline": None if baseline is None else metric.read(baseline),
        "samples": measures.get("test_samples"),
    }
