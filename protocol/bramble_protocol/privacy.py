"""What a measure may say in private mode: a mean over few samples is a reading in other words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bramble_protocol.kinds import Counts, windows_in

RELATIVE = "relative_error"
"""What a round with noise tells of what its clients measured, in place of the pooled measures: the mean of their test errors over their
baselines, with noise (``strategies/dp.py`` of the server).
"""
WORST = 2.0
"""Where each client's test error over its baseline is cut, as the task measures both: that bounds what one adds to their mean."""
LEAST_SAMPLES = 20
"""Samples below which no measure leaves a client in private mode. A mean squared error of one is a difference of two readings."""
BEST = ("champion", "champion_error")
TESTED = ("test_samples", "test_error", "test_baseline", *BEST)
TRAINED = ("loss_before", "loss_after")


def told(samples: int, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return those of an update's metrics that are means over enough samples.

    Parameters
    ----------
    samples
        Training windows, over which the losses are means.
    metrics
        As in ``training_complete``; ``test_samples`` is what the test's measures are means over.
    """
    few = (*(TESTED if metrics.get("test_samples", 0) < LEAST_SAMPLES else ()), *(TRAINED if samples < LEAST_SAMPLES else ()))
    return {name: value for name, value in metrics.items() if name not in few}


def told_counts(counts: Counts) -> tuple[dict[str, tuple[float, ...]], dict[str, tuple[float, ...]]]:
    """Return those of a client's counts that are over enough windows, and those that are not yet."""
    enough = {name: vector for name, vector in counts.items() if windows_in(name, vector) >= LEAST_SAMPLES}
    return enough, {name: vector for name, vector in counts.items() if name not in enough}


def relative(metrics: Mapping[str, float]) -> float:
    """Return a client's test error over its baseline, from 0 to ``WORST``; 1 where it says neither."""
    error, baseline = metrics.get("test_error"), metrics.get("test_baseline")
    if error is None or not baseline or not metrics.get("test_samples"):
        return 1.0
    found = error / baseline
    return min(found, WORST) if 0 <= found < math.inf else WORST
