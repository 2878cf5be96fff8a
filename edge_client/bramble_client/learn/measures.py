"""What private mode lets out of a run's measures: tests on few windows wait until a mean over all of them says nothing of one."""

from __future__ import annotations

import json
from dataclasses import replace

from bramble_client.learn.trainer import Result
from bramble_protocol import kinds, privacy

UNTOLD = "untold_measures"
"""Where the recorder keeps how many windows were tested and not reported yet, the sums of their errors and of their baselines, and what
was counted of them."""


def guarded(result: Result, untold: str | None) -> Result:
    """Return a run's result as it may leave this client; ``untold`` in it is what waits once that is delivered.

    Each window was forecast before anybody trained on it, with the global model of its own round; so a mean over the windows
    of several rounds is as honest as one over a single round's.

    Parameters
    ----------
    result
        What the run found.
    untold
        What the runs before left.
    """
    metrics = dict(result.complete.metrics)
    count, error, baseline, *former = json.loads(untold) if untold else (0.0, 0.0, 0.0)
    counts, waiting = _counts(result, former[0] if former else {})
    if fresh := metrics.get("test_samples", 0.0):
        count, error, baseline = count + fresh, error + fresh * metrics["test_error"], baseline + fresh * metrics["test_baseline"]
    if count:
        metrics |= {"test_samples": count, "test_error": error / count, "test_baseline": baseline / count}
    metrics = privacy.told(result.complete.samples, metrics)
    sums = (0.0, 0.0, 0.0) if "test_samples" in metrics else (count, error, baseline)
    waits = json.dumps([*sums, *([waiting] if waiting else [])]) if any(sums) or waiting else None
    return replace(result, complete=replace(result.complete, metrics=metrics, counts=counts), untold=waits)


def _counts(result: Result, noted: dict[str, list[float]]) -> tuple[kinds.Counts | None, kinds.Counts]:
    """Return what may be told of what was counted, and what waits; of all windows there are as many the next time, so that never does."""
    former = {name: tuple(vector) for name, vector in noted.items()}
    if result.complete.counts is None:
        return None, former
    told, waiting = privacy.told_counts(kinds.pooled(result.complete.counts, former))
    return told, {name: vector for name, vector in waiting.items() if name != kinds.ALL}
