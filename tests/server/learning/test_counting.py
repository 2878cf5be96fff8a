"""What clients counted becomes a round's measures: confusion, alarms, targets apart, and how errors lie over clients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bramble_client.learn.counting import histogram
from bramble_protocol.kinds import ALL, CONFUSION, FAULTS, FRESH, SEEN, Counts
from bramble_server.learning.counting import judged, measures, pool, spread, threshold, unseen
from bramble_server.learning.judge import Report
from tests.protocol.test_kinds import ACTIVITY, ANOMALY, FAULTY, ROOM


def report(client: str, samples: int, tests: float, error: float = 1.0, counts: Counts | None = None) -> Report:
    metrics = {"loss_before": 1.0, "loss_after": 1.0, "test_samples": tests, "test_error": error, "test_baseline": 2.0}
    return Report(client, 1.0, samples, metrics, counts or {})


def errors(*values: float) -> tuple[float, ...]:
    return tuple(histogram(np.array(values, np.float32)).tolist())


def test_accuracy_and_macro_f1_are_those_of_the_pooled_matrix() -> None:
    found = measures(ACTIVITY, {CONFUSION: (8, 2, 0, 1, 9, 0, 0, 0, 0)})
    assert found["accuracy"] == pytest.approx(17 / 20)
    assert found["macro_f1"] == pytest.approx((16 / 19 + 18 / 21) / 2), "a class that nobody has, and that nothing is taken for, is none"
    never = measures(ACTIVITY, {CONFUSION: (8, 0, 2, 0, 10, 0, 0, 0, 0)})
    assert never["macro_f1"] == pytest.approx((16 / 18 + 1 + 0) / 3)


def test_at_most_the_rate_of_ordinary_windows_lies_above_the_threshold() -> None:
    many = np.random.default_rng(0).lognormal(0, 1, 20_000)
    counts = {ALL: errors(*many), FRESH: errors(*many)}
    above = threshold(ANOMALY, counts)
    assert above is not None
    exactly = np.quantile(many, 0.999)
    assert exactly <= above * 1.001 < exactly * 10 ** (2 / 16)
    assert (many > above * 1.0001).mean() <= 0.001
    assert measures(ANOMALY, counts, above)["alarm_rate"] == pytest.approx((many > above).mean(), abs=1e-4)


def test_a_threshold_is_beyond_all_where_there_are_few() -> None:
    assert threshold(ANOMALY, {ALL: errors(0.5, 2.0, 3.0)}) == pytest.approx(10 ** (8 / 16))
    assert threshold(ANOMALY, {}) is None
    assert threshold(ROOM, {}) is None


def test_known_faults_tell_precision_and_recall() -> None:
    counts = {FRESH: errors(*[0.1] * 97, 5, 5, 5), FAULTS: errors(0.1, 5, 5, 5, 5), ALL: errors(*[0.1] * 100)}
    found = measures(FAULTY, counts, 1.0)
    assert found == pytest.approx({"alarm_rate": 0.03, "recall": 0.8, "precision": 4 / 7})
    assert measures(FAULTY, counts, None) == {}, "nothing is an alarm while there is no threshold"


def test_what_the_threshold_is_of_holds_where_nobody_counted_anew() -> None:
    first, told = judged(ANOMALY, {ALL: errors(*[1.0] * 50), FRESH: errors(1.0)}, {})
    assert "alarm_rate" not in told, "no threshold had gone out"
    kept, later = judged(ANOMALY, {FRESH: errors(0.1, 100.0)}, first)
    assert later == {"alarm_rate": 0.5, "threshold": told["threshold"]}
    assert kept[ALL] == first[ALL]


def test_a_class_that_nobody_ever_had_is_known_and_one_that_was_there_once_is_seen_for_good() -> None:
    assert unseen(ACTIVITY, {}) == [], "nothing was counted yet"
    first, _ = judged(ACTIVITY, {CONFUSION: (3, 1, 0, 0, 0, 0, 0, 0, 0)}, {})
    assert unseen(ACTIVITY, first) == ["walk", "run"]
    second, _ = judged(ACTIVITY, {CONFUSION: (0, 0, 0, 2, 2, 0, 0, 0, 0)}, first)
    assert unseen(ACTIVITY, second) == ["run"]
    third, _ = judged(ACTIVITY, {}, second)
    assert third == {SEEN: (4, 4, 0)}


def test_targets_are_means_of_the_windows_in_which_they_are_known() -> None:
    found = measures(ROOM, {"target.temperature": (10, 5, 20)})
    assert found == {"samples.temperature": 10, "error.temperature": 0.5, "baseline.temperature": 2}


def test_clients_count_once_for_quartiles_and_the_worst_tenth_by_its_windows() -> None:
    reports = [report(f"pi-{n:02}", 10, 10, float(n)) for n in range(1, 21)]
    reports[-1] = dataclasses.replace(reports[-1], metrics={**reports[-1].metrics, "test_samples": 30.0})
    found = spread([(each.samples, each.metrics) for each in reports])
    assert found["test_error.median"] == 10.5
    assert found["test_error.worst_tenth"] == pytest.approx((20 * 30 + 19 * 10) / 40)
    assert spread([]) == spread([(5, {"test_samples": 0.0, "test_error": 1.0})]) == {}


def test_counts_pool_exactly_but_for_who_claims_far_more_than_others() -> None:
    usual = [report(name, 50, 10, counts={CONFUSION: (4.0, 1.0, 0.0, 5.0)}) for name in ("a", "b")]
    assert pool(usual, [(50, each.metrics) for each in usual]) == {CONFUSION: (8, 2, 0, 10)}
    claims = report("c", 5000, 1e6, counts={CONFUSION: (1e6, 0.0, 0.0, 0.0), ALL: (200.0,)})
    counts = pool([*usual, claims], [*((50, each.metrics) for each in usual), (150, {**claims.metrics, "test_samples": 30.0})])
    assert counts[CONFUSION] == pytest.approx((8 + 30, 2, 0, 10))
    assert counts[ALL] == pytest.approx((6,))
