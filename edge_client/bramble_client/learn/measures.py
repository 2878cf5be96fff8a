"""What private mode lets out of a run's measures: tests on few windows wait until a mean over all of them says nothing of one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bramble_client.learn.trainer import Result
from bramble_protocol import kinds, privacy

UNTOLD = "untold_measures"
"""Where the recorder keeps how many windows were tested and not reported yet, the sums of their errors and of their baselines, what was
counted of them, and, where one champion was tested on all of them, its round and the sum of its errors.
"""


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
    count, error, baseline, *more = json.loads(untold) if untold else (0.0, 0.0, 0.0)
    former = more[0] if more else {}
    best: Sequence[float] = more[1] if len(more) > 1 else []
    counts, waiting = _counts(result, former)
    if fresh := metrics.get("test_samples", 0.0):
        best = _champion(metrics, count, best)
        count, error, baseline = count + fresh, error + fresh * metrics["test_error"], baseline + fresh * metrics["test_baseline"]
    metrics = {name: value for name, value in metrics.items() if name not in privacy.BEST}
    if count:
        metrics |= {"test_samples": count, "test_error": error / count, "test_baseline": baseline / count}
        metrics |= {"champion": best[0], "champion_error": best[1] / count} if best else {}
    metrics = privacy.told(result.complete.samples, metrics)
    sums, best = ((0.0, 0.0, 0.0), []) if "test_samples" in metrics else ((count, error, baseline), best)
    more = [waiting, best] if best else [waiting] if waiting else []
    waits = json.dumps([*sums, *more]) if any(sums) or waiting else None
    return replace(result, complete=replace(result.complete, metrics=metrics, counts=counts), untold=waits)


def _counts(result: Result, noted: dict[str, list[float]]) -> tuple[kinds.Counts | None, kinds.Counts]:
    """Return what may be told of what was counted, and what waits; of all windows there are as many the next time, so that never does."""
    former = {name: tuple(vector) for name, vector in noted.items()}
    if result.complete.counts is None:
        return None, former
    told, waiting = privacy.told_counts(kinds.pooled(result.complete.counts, former))
    return told, {name: vector for name, vector in waiting.items() if name != kinds.ALL}


def _champion(metrics: Mapping[str, float], count: float, noted: Sequence[float]) -> list[float]:
    """Return round and sum of errors of a champion that was tested on these windows and on all that wait; else nothing."""
    if "champion" not in metrics or (count and list(noted[:1]) != [metrics["champion"]]):
        return []
    return [metrics["champion"], sum(noted[1:]) + metrics["test_samples"] * metrics["champion_error"]]
