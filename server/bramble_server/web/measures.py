"""What a round or an evaluation measured, as a person reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bramble_protocol.graph import Metric

SPREAD = ("lower_quartile", "median", "upper_quartile", "worst_tenth")
"""How an error lies over clients, as :func:`bramble_server.learning.counting.spread` names it."""
OF_KIND = ("accuracy", "macro_f1", "alarm_rate", "precision", "recall", "threshold")
"""What a round says of a model that does not forecast, as :func:`bramble_server.learning.counting.judged` names it."""


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
    over = {name: metric.read(measures[f"test_error.{name}"]) for name in SPREAD if f"test_error.{name}" in measures}
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "error": metric.read(error),
        "baseline": None if baseline is None else metric.read(baseline),
        "samples": measures.get("test_samples"),
        **({"clients": over} if over else {}),
    }


QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


class Part(NamedTuple):
    """Means over one client's windows."""

    samples: int
    error: float
    baseline: float


def pooled(metric: Metric, parts: Sequence[Part]) -> dict[str, Any] | None:
    """Return what clients found as one, in the task's metric; None if there are none.

    Returns
    -------
    dict
        ``error`` and ``baseline`` over all windows of all clients, exactly, ``samples`` and ``clients``; ``quantiles`` of the clients'
        own errors, each counting as one, and ``worst_tenth``, the error over all windows of the worst tenth of them (at least one).
    """
    if not parts:
        return None
    worst = sorted(parts, key=lambda part: part.error)[-math.ceil(len(parts) / 10) :]
    quantiles = np.quantile([metric.read(part.error) for part in parts], QUANTILES).tolist()
    return {
        "error": metric.read(_mean(parts, "error")),
        "baseline": metric.read(_mean(parts, "baseline")),
        "samples": sum(part.samples for part in parts),
        "clients": len(parts),
        "quantiles": {str(at): found for at, found in zip(QUANTILES, quantiles, strict=True)},
        "worst_tenth": metric.read(_mean(worst, "error")),
    }


def _mean(parts: Sequence[Part], what: str) -> float:
    return math.fsum(part.samples * getattr(part, what) for part in parts) / sum(part.samples for part in parts)
