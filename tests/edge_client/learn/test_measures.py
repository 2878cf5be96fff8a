"""What leaves a client in private mode of its measures: means over twenty windows or more, and each window in one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bramble_client.learn.measures import guarded
from bramble_client.learn.trainer import Result
from bramble_protocol import privacy
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Timing, TrainingComplete

LAYOUT = Layout.of([("w", [1])])


def result(samples: int, fresh: int = 0, error: float = 0.0, baseline: float = 0.0) -> Result:
    metrics = {"loss_before": 2.0, "loss_after": 1.0}
    if fresh:
        metrics |= {"test_samples": float(fresh), "test_error": error, "test_baseline": baseline}
    timing = Timing(1.0, 2.0, 3.0)
    return Result(TrainingComplete(1, LAYOUT, "float32", np.zeros(1, np.float32), samples, metrics, timing), [], 0.0)


def test_a_test_on_few_windows_waits_until_there_are_twenty_and_is_told_once() -> None:
    told, untold = [], None
    for fresh, error in ((1, 5.0), (12, 1.0), (6, 2.0), (1, 4.0), (3, 9.0), (40, 0.5)):
        found = guarded(result(100, fresh, error, 2 * error), untold)
        untold = found.untold
        told.append({name: value for name, value in found.complete.metrics.items() if name in privacy.TESTED})
    pooled = (5.0 + 12 * 1.0 + 6 * 2.0 + 4.0) / 20
    assert told[:3] == [{}] * 3
    assert told[3] == pytest.approx({"test_samples": 20, "test_error": pooled, "test_baseline": 2 * pooled})
    assert told[4] == {}
    rest = (3 * 9.0 + 40 * 0.5) / 43
    assert told[5] == pytest.approx({"test_samples": 43, "test_error": rest, "test_baseline": 2 * rest})
    assert untold is None


def test_a_run_without_anything_new_leaves_what_waits_as_it_is() -> None:
    waiting = guarded(result(100, 7, 1.0, 1.0), None).untold
    again = guarded(result(100), waiting)
    assert again.untold == waiting
    assert set(again.complete.metrics) == {"loss_before", "loss_after"}


@pytest.mark.parametrize(("samples", "kept"), [(1, set()), (19, set()), (20, {"loss_before", "loss_after"})])
def test_a_loss_over_few_windows_stays_here_too(samples: int, kept: set[str]) -> None:
    found = guarded(result(samples, samples, 1.0, 1.0), None)
    assert set(found.complete.metrics) & set(privacy.TRAINED) == kept
    assert bool(set(found.complete.metrics) & set(privacy.TESTED)) == (samples >= 20)


def test_a_peer_that_claims_a_test_of_nothing_or_less_is_told_nothing_of() -> None:
    for claimed in (0.0, -5.0, 19.999):
        assert privacy.told(100, {"test_samples": claimed, "test_error": 1.0, "test_baseline": 2.0, "loss_after": 3.0}) == {
            "loss_after": 3.0
        }
    assert privacy.told(100, {"test_error": 1.0}) == {}


def test_a_champion_is_told_of_where_it_was_tested_on_all_windows_that_are_told_of() -> None:
    def with_champion(fresh: int, number: int | None, error: float = 1.0) -> Result:
        found = result(100, fresh, 2.0, 4.0)
        best = {} if number is None else {"champion": float(number), "champion_error": error}
        return replace(found, complete=replace(found.complete, metrics={**found.complete.metrics, **best}))

    def told(*runs: Result) -> dict[str, float]:
        untold = None
        for run in runs:
            found = guarded(run, untold)
            untold = found.untold
        return {name: value for name, value in found.complete.metrics.items() if name in privacy.BEST}

    assert told(with_champion(25, 7)) == {"champion": 7, "champion_error": 1.0}
    assert told(with_champion(10, 7, 1.0), with_champion(10, 7, 3.0)) == {"champion": 7, "champion_error": 2.0}
    for others in ((10, 8), (10, None)):
        assert told(with_champion(*others), with_champion(10, 7)) == {}
        assert told(with_champion(10, 7), with_champion(*others)) == {}
    assert told(with_champion(10, 7)) == {}
