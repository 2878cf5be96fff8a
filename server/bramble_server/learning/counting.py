"""What pooled counts of a round say of its model, by the task's kind; and how errors spread over clients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bramble_protocol import kinds
from bramble_protocol.graph import Manifest
from bramble_protocol.kinds import Counts
from bramble_server.learning.judge import Report

WORST = 0.1
"""Part of the clients that are looked at apart, those that the model forecasts worst; at least one."""


def judged(manifest: Manifest, counts: Counts, before: Counts) -> tuple[Counts, dict[str, float]]:
    """Return what is kept with a round's model, and the round's measures.

    Parameters
    ----------
    counts
        The clients', pooled.
    before
        What is kept with the model that the round began with: its threshold went out, and holds where nobody counted anew.
    """
    kept = {**({name: before[name] for name in (kinds.ALL, kinds.SEEN) if name in before}), **counts}
    if kinds.CONFUSION in counts:
        true = tuple(_by_class(manifest, counts[kinds.CONFUSION]).sum(1).tolist())
        kept |= kinds.pooled({kinds.SEEN: true}, {name: vector for name, vector in before.items() if name == kinds.SEEN})
    above = threshold(manifest, kept)
    return kept, measures(manifest, counts, threshold(manifest, before)) | ({} if above is None else {"threshold": above})


def measures(manifest: Manifest, counts: Counts, threshold: float | None = None) -> dict[str, float]:
    """Return the measures that a round's counts come to.

    Parameters
    ----------
    counts
        The clients', pooled.
    threshold
        What came with the request, of a task that reconstructs.

    Returns
    -------
    dict
        * ``accuracy`` and ``macro_f1`` of a task that classifies: the mean over classes of F1 (2 TP / (2 TP + FP + FN); van Rijsbergen
          1979), of those that were true or found at all.
        * ``alarm_rate`` of one that reconstructs, the part of ordinary new windows above the threshold; with known faults also ``recall``,
          the part of them above it, and ``precision``, the part of all alarms that were faults.
        * ``samples.T``, ``error.T`` and ``baseline.T`` of each target T that is measured apart, means as ``test_error`` is one.
    """
    found: dict[str, float] = {}
    if kinds.CONFUSION in counts:
        found |= _of_classes(_by_class(manifest, counts[kinds.CONFUSION]))
    if threshold is not None and manifest.kind.name == "reconstruct":
        found |= _of_alarms(counts, threshold)
    for target in manifest.interface.measured:
        samples, error, baseline = counts.get(f"target.{target}", (0.0, 0.0, 0.0))
        if samples:
            found |= {f"samples.{target}": samples, f"error.{target}": error / samples, f"baseline.{target}": baseline / samples}
    return found


def unseen(manifest: Manifest, kept: Counts) -> list[str]:
    """Return the classes of which no client ever had a window, of a task that classifies; none before anything was counted."""
    return [name for name, count in zip(manifest.kind.classes, kept.get(kinds.SEEN, ()), strict=False) if not count]


def threshold(manifest: Manifest, counts: Counts) -> float | None:
    """Return the error that at most the task's ``alarm_rate`` of all ordinary windows lies above; None where there are none.

    It is a bin's upper end, so that what is above it can be counted to the window.
    """
    rate, histogram = manifest.kind.alarm_rate, counts.get(kinds.ALL)
    if rate is None or histogram is None:
        return None
    above = np.cumsum(histogram[::-1])[::-1] - histogram
    place = int(np.argmax(above <= rate * sum(histogram)))
    return kinds.LOWEST * 10 ** (min(place, kinds.BINS - 2) / kinds.PER_DECADE)


Reported = Sequence[tuple[int, Mapping[str, float]]]
"""Samples and metrics of clients, each for no more windows than it counts for."""


def spread(reported: Reported) -> dict[str, float]:
    """Return how the test error lies over clients: its quartiles, each client counting once, and the worst tenth's, pooled."""
    told = [metrics for _, metrics in reported if metrics.get("test_samples") and "test_error" in metrics]
    tested = sorted((metrics["test_error"], metrics["test_samples"]) for metrics in told)
    if not tested:
        return {}
    worst = tested[-max(1, math.ceil(WORST * len(tested))) :]
    quartiles = np.quantile([mean for mean, _ in tested], (0.25, 0.5, 0.75)).tolist()
    names = ("lower_quartile", "median", "upper_quartile")
    found = {f"test_error.{name}": value for name, value in zip(names, quartiles, strict=True)}
    return {**found, "test_error.worst_tenth": sum(mean * count for mean, count in worst) / sum(count for _, count in worst)}


def pool(reports: Sequence[Report], reported: Reported) -> Counts:
    """Return the sums of what clients counted; of a client that counts for fewer windows than it has, each counts for a part.

    Parameters
    ----------
    reported
        For each of the reports, in their order, for how many windows it counts.
    """
    parts = []
    for report, (samples, metrics) in zip(reports, reported, strict=True):
        tests = report.metrics.get("test_samples", 0.0)
        trained, new = samples / report.samples, metrics["test_samples"] / tests if tests else 1.0
        part = {name: trained if name == kinds.ALL else new for name in report.counts}
        parts.append({name: tuple(part[name] * number for number in vector) for name, vector in report.counts.items()})
    return kinds.pooled(*parts)


def _by_class(manifest: Manifest, confusion: Sequence[float]) -> NDArray[np.float64]:
    return np.reshape(np.asarray(confusion, np.float64), (len(manifest.kind.classes), -1))


def _of_classes(confusion: NDArray[np.float64]) -> dict[str, float]:
    right, true, said = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    there = true + said > 0
    f1 = 2 * right[there] / (true + said)[there]
    return {"accuracy": float(right.sum() / confusion.sum()), "macro_f1": float(f1.mean())}


def _of_alarms(counts: Counts, threshold: float) -> dict[str, float]:
    first = round(math.log10(threshold / kinds.LOWEST) * kinds.PER_DECADE) + 1

    def above(name: str) -> tuple[float, float]:
        histogram = counts.get(name, ())
        return sum(histogram[first:]), sum(histogram)

    (alarms, ordinary), (caught, faults) = above(kinds.FRESH), above(kinds.FAULTS)
    found = {"alarm_rate": alarms / ordinary} if ordinary else {}
    if faults:
        found |= {"recall": caught / faults, **({"precision": caught / (alarms + caught)} if alarms + caught else {})}
    return found
