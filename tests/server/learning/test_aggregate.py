from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble_protocol.layout import Weights
from bramble_protocol.messages import MAX_SAMPLES
from bramble_server.learning.aggregate import BLOCK, SHORT, AggregateError, WeightedMean, finite, pool_metrics
from tests.examples import examples

EPS = 2.0**-24
"""Half the distance from 1 to the next float32: what one rounding costs, relative."""


def mean_of(vectors: list[Weights], weights: list[int]) -> Weights:
    mean = WeightedMean(len(vectors[0]))
    for vector, weight in zip(vectors, weights, strict=True):
        mean.add(vector, weight)
    return mean.mean()


def exact(vectors: list[Weights], weights: list[int]) -> list[Fraction]:
    total = sum(weights)
    return [
        sum((Fraction(float(v[i])) * w for v, w in zip(vectors, weights, strict=True)), Fraction()) / total for i in range(len(vectors[0]))
    ]


def magnitude(vectors: list[Weights], weights: list[int]) -> np.ndarray:
    """The weighted mean of absolute values: rounding is relative to it, not to a mean that may cancel to nothing."""
    return np.average([np.abs(vector.astype(np.float64)) for vector in vectors], axis=0, weights=weights)


def fleet(count: int, size: int, seed: int = 0) -> tuple[list[Weights], list[int]]:
    rng = np.random.default_rng(seed)
    vectors = [rng.standard_normal(size, np.float32) * np.float32(10.0) ** rng.integers(-3, 4) for _ in range(count)]
    return vectors, [int(n) for n in rng.integers(1, 10_000, count)]


def test_one_update_is_its_own_mean() -> None:
    vector = np.array([0.5, -3.25, 0.0, 1e30], np.float32)
    np.testing.assert_array_equal(mean_of([vector], [64]), vector)


def test_weights_count_by_their_ratio() -> None:
    vectors = [np.array([1, 10], np.float32), np.array([4, 40], np.float32)]
    np.testing.assert_array_equal(mean_of(vectors, [2, 1]), np.array([2, 20], np.float32))
    np.testing.assert_array_equal(mean_of(vectors, [200, 100]), np.array([2, 20], np.float32))


@pytest.mark.parametrize("count", [1, SHORT - 1, SHORT, SHORT + 1, 2 * SHORT, 3 * SHORT + 5])
@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 17])
def test_agrees_with_numpy_whatever_the_number_of_updates_and_the_size(count: int, size: int) -> None:
    vectors, weights = fleet(count, size)
    expected = np.average([vector.astype(np.float64) for vector in vectors], axis=0, weights=weights)
    error = np.abs(mean_of(vectors, weights) - expected)
    assert (error <= (SHORT + 2) * EPS * magnitude(vectors, weights)).all()


@settings(max_examples=examples(200))
@given(
    st.lists(
        st.tuples(st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-25), st.integers(1, MAX_SAMPLES)),
        min_size=1,
        max_size=30,
    )
)
def test_stays_within_its_roundings_of_the_exact_mean(updates: list[tuple[float, int]]) -> None:
    vectors, weights = [np.array([value], np.float32) for value, _ in updates], [weight for _, weight in updates]
    error = abs(Fraction(float(mean_of(vectors, weights)[0])) - exact(vectors, weights)[0])
    # One rounding for each product and addition of a short sum, one for the total, one for the result.
    assert error <= Fraction((SHORT + 2) * EPS * 1.001) * Fraction(float(magnitude(vectors, weights)[0])) + Fraction(1e-30)


def test_the_order_of_arrival_shows_in_the_last_bits_only() -> None:
    vectors, weights = fleet(100, 2000)
    size = magnitude(vectors, weights)
    rng = np.random.default_rng(1)
    first = mean_of(vectors, weights).astype(np.float64)
    worst, typical = 0.0, 0.0
    for _ in range(20):
        order = rng.permutation(100)
        other = mean_of([vectors[i] for i in order], [weights[i] for i in order])
        apart = np.abs(other - first) / size / EPS
        worst, typical = max(worst, apart.max()), max(typical, float(np.median(apart)))
    assert 0 < worst <= 4, "in units of one float32 rounding"
    assert typical < 0.5


def test_error_does_not_grow_with_the_fleet_as_a_plain_float32_sum_does() -> None:
    size = 500
    vectors, weights = [np.full(size, 0.1, np.float32)] * 20_000, [333] * 20_000
    plain = np.zeros(size, np.float32)
    for vector, weight in zip(vectors, weights, strict=True):
        plain += np.float32(weight) * vector
    plain /= np.float32(sum(weights))
    true = float(np.float32(0.1))
    assert abs(float(mean_of(vectors, weights)[0]) - true) <= 2 * EPS * true
    assert abs(float(plain[0]) - true) > 100 * EPS * true


def test_memory_is_that_of_a_few_models_however_many_updates() -> None:
    size = 200_000
    vector = np.ones(size, np.float32)
    tracemalloc.start()
    try:
        mean = WeightedMean(size)
        for _ in range(100):
            mean.add(vector, 3)
        result = mean.mean()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(result, vector)
    assert peak <= 12 * result.nbytes


def test_what_arrives_is_not_written_to() -> None:
    vectors, weights = fleet(2 * SHORT + 1, 100)
    for vector in vectors:
        vector.flags.writeable = False
    mean_of(vectors, weights)


def test_the_largest_finite_values_and_weights_do_not_overflow_on_the_way() -> None:
    top = float(np.finfo(np.float32).max)
    vectors = [np.array([top, -top, top], np.float32)] * (2 * SHORT)
    result = mean_of(vectors, [MAX_SAMPLES] * len(vectors))
    np.testing.assert_allclose(result, np.array([top, -top, top], np.float32), rtol=1e-6)


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(AggregateError, match="no update"):
        WeightedMean(3).mean()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_model_that_is_not_finite_is_refused_by_the_first_bad_value(bad: float) -> None:
    weights = np.array([1, 2, bad, bad], np.float32)
    with pytest.raises(AggregateError, match="value 2 of the new model is not finite"):
        finite(weights)


def test_a_bad_value_that_slipped_in_does_not_become_a_model() -> None:
    mean = WeightedMean(2)
    mean.add(np.array([1, np.inf], np.float32), 5)
    with pytest.raises(AggregateError, match="value 1 "):
        mean.mean()


class TestPooling:
    def test_losses_by_samples_and_tests_by_test_samples(self) -> None:
        one = {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 1.0, "test_error": 9.0, "test_baseline": 16.0}
        two = {"loss_before": 4.0, "loss_after": 3.0, "test_samples": 3.0, "test_error": 1.0, "test_baseline": 4.0}
        assert pool_metrics([(30, one), (10, two)]) == {
            "loss_before": pytest.approx(2.5),
            "loss_after": pytest.approx(1.5),
            "test_error": pytest.approx(3.0),
            "test_baseline": pytest.approx(7.0),
            "test_samples": 4.0,
        }

    def test_a_client_without_fresh_windows_says_nothing_of_the_test(self) -> None:
        with_test = {"loss_after": 1.0, "test_samples": 2.0, "test_error": 9.0}
        pooled = pool_metrics([(1, {"loss_after": 3.0}), (1, with_test)])
        assert pooled == {"loss_after": 2.0, "test_error": 9.0, "test_samples": 2.0}

    def test_of_nobody_is_nothing(self) -> None:
        assert pool_metrics([]) == {}

    def test_a_negative_number_of_tests_counts_as_none(self) -> None:
        assert pool_metrics([(5, {"test_samples": -3.0, "test_error": 1.0})]) == {}

    def test_unknown_metrics_are_left_out(self) -> None:
        assert pool_metrics([(5, {"temperature": 3.0})]) == {}
