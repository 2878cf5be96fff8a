"""What private mode lets out of a run's measures: tests on few windows wait until a mean over all of them says nothing of one."""

from __future__ import annotations

import json
from dataclasses import replace

from bramble_client.learn.trainer import Result
from bramble_protocol import privacy

UNTOLD = "untold_measures"
"""Where the recorder keeps how many windows were tested and not reported yet, and the sums of their errors and of their baselines."""


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
    count, error, baseline = json.loads(untold) if untold else (0.0, 0.0, 0.0)
    if fresh := metrics.get("test_samples", 0.0):
        count, error, baseline = count + fresh, error + fresh * metrics["test_error"], baseline + fresh * metrics["test_baseline"]
    if count:
        metrics |= {"test_samples": count, "test_error": error / count, "test_baseline": baseline / count}
    metrics = privacy.told(result.complete.samples, metrics)
    waits = None if "test_samples" in metrics or not count else json.dumps([count, error, baseline])
    return replace(result, complete=replace(result.complete, metrics=metrics), untold=waits)
