"""What rounds spend of a privacy budget, against what can be computed by hand; against another accountant: tests/accounting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_protocol.accountant import ORDERS, Release, epsilon, noise_for, renyi
from bramble_protocol.errors import BrambleError

noises, shares = st.floats(0.5, 20), st.floats(0.001, 0.9)


def test_without_chance_a_round_costs_what_two_gaussians_differ() -> None:
    assert renyi(Release(2.0)) == pytest.approx([order / 8 for order in ORDERS])


@given(noises, shares)
def test_at_order_two_it_is_what_can_be_written_down(noise: float, share: float) -> None:
    """E[(1 - q + q L)^2] = 1 + q^2 (E[L^2] - 1), and E[L^2] = exp(1 / s^2)."""
    assert renyi(Release(noise, share))[ORDERS.index(2.0)] == pytest.approx(math.log1p(share**2 * math.expm1(noise**-2)), rel=1e-9)


@given(noises, shares, st.integers(3, 20))
def test_at_whole_orders_it_is_the_sum_over_the_binomial(noise: float, share: float, order: int) -> None:
    ways = [math.log(math.comb(order, k)) + (order - k) * math.log1p(-share) + k * math.log(share) for k in range(order + 1)]
    terms = [way + (k * k - k) / (2 * noise**2) for k, way in enumerate(ways)]
    assert renyi(Release(noise, share))[ORDERS.index(order)] == pytest.approx(float(np.logaddexp.reduce(terms)) / (order - 1), rel=1e-8)


@given(noises, shares)
def test_a_share_costs_less_than_all_and_more_noise_less_than_little(noise: float, share: float) -> None:
    drawn = renyi(Release(noise, share))
    assert (drawn <= renyi(Release(noise)) * (1 + 1e-9)).all()
    assert (renyi(Release(1.1 * noise, share)) <= drawn * (1 + 1e-9)).all()
    assert (np.diff(drawn) >= -1e-9).all(), "a divergence grows with its order"


def test_rounds_add_up_whatever_their_order() -> None:
    one, other = Release(1.0, 0.1), Release(5.0)
    assert epsilon({one: 10, other: 3}, 1e-5) == epsilon({other: 3, one: 10}, 1e-5)
    assert epsilon({one: 10}, 1e-5) < epsilon({one: 10, other: 3}, 1e-5) < epsilon({one: 20, other: 3}, 1e-5)


def test_nothing_spent_is_nothing_and_so_is_what_delta_covers() -> None:
    assert epsilon({}, 1e-5) == 0
    assert epsilon({Release(1e4): 1}, 0.01) == 0


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_the_noise_that_is_found_keeps_the_budget_and_a_little_less_would_not(share: float) -> None:
    noise = noise_for(8, 1e-5, 200, share)
    assert epsilon({Release(noise, share): 200}, 1e-5) <= 8 < epsilon({Release(0.998 * noise, share): 200}, 1e-5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Release(0.0), "noise of more than 0"),
        (lambda: Release(math.nan), "noise of more than 0"),
        (lambda: Release(1.0, 0.0), "a share of clients in"),
        (lambda: Release(1.0, 1.1), "a share of clients in"),
        (lambda: epsilon({Release(1.0): 1}, 0.0), "delta is a probability above 0 and below 1, not 0"),
        (lambda: epsilon({Release(1.0): 1}, 1.0), "delta is a probability"),
        (lambda: noise_for(0.0, 1e-5, 10), "epsilon is a number above 0, not 0"),
        (lambda: noise_for(math.nan, 1e-5, 10), "epsilon is a number above 0"),
        (lambda: noise_for(1e-9, 1e-12, 10**9), "no noise keeps 1000000000 rounds"),
    ],
)
def test_what_is_no_mechanism_and_no_budget_is_refused(make: object, says: str) -> None:
    with pytest.raises(BrambleError, match=says):
        make()  # type: ignore[operator]
