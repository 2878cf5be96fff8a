"""What rounds spend, against Google's dp-accounting, which has pins of its own and so an environment of its own: make test-accounting."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from bramble_protocol.accountant import ORDERS, Release, epsilon, noise_for, renyi

dp_accounting = pytest.importorskip("dp_accounting", reason="the other accountant is not here; run: make test-accounting")
rdp = pytest.importorskip("dp_accounting.rdp")

NOISES, SHARES, ROUNDS, DELTAS = (0.5, 0.8, 1.0, 2.0, 5.0, 20.0), (1.0, 0.5, 0.1, 0.01, 0.001), (1, 20, 200, 5000), (1e-3, 1e-5, 1e-8)
USEFUL = 20.0
"""Epsilon beyond which nobody is promised anything."""


def theirs(noise: float, share: float, rounds: int, orders: Any = ORDERS) -> Any:
    accountant = rdp.RdpAccountant(orders=list(orders))
    one = dp_accounting.GaussianDpEvent(noise)
    return accountant.compose(one if share == 1 else dp_accounting.PoissonSampledDpEvent(share, one), rounds)


@pytest.mark.parametrize(("noise", "share"), list(itertools.product(NOISES, SHARES)))
def test_the_divergence_of_a_round_is_theirs_at_whole_orders_and_no_more_between_them(noise: float, share: float) -> None:
    """Between whole numbers theirs is a bound, or a series that does not end (then infinite); ours is an integral there, too."""
    own, other = renyi(Release(noise, share)), np.array(theirs(noise, share, 1)._rdp)
    whole = np.array([float(order).is_integer() for order in ORDERS])
    np.testing.assert_allclose(own[whole], other[whole], rtol=1e-6, atol=1e-14)
    assert (own <= other * (1 + 1e-6)).all()


@pytest.mark.parametrize(("noise", "share", "rounds", "delta"), list(itertools.product(NOISES, SHARES, ROUNDS, DELTAS)))
def test_epsilon_is_theirs_within_a_hundredth_or_less_where_more_orders_can_be_summed(
    noise: float, share: float, rounds: int, delta: float
) -> None:
    accountant = theirs(noise, share, rounds)
    other, own = accountant.get_epsilon(delta), epsilon({Release(noise, share): rounds}, delta)
    if other > USEFUL:
        assert own > 0.6 * USEFUL
        return
    assert own <= other * (1 + 1e-9)
    assert own >= other * (0.99 if np.isfinite(accountant._rdp).all() else 0.97)


def test_rounds_of_several_kinds_add_up_as_theirs_do() -> None:
    accountant = theirs(1.0, 0.1, 50)
    accountant.compose(dp_accounting.GaussianDpEvent(10.0), 30)
    assert epsilon({Release(1.0, 0.1): 50, Release(10.0): 30}, 1e-6) == pytest.approx(accountant.get_epsilon(1e-6), rel=0.01)


@pytest.mark.parametrize(("budget", "rounds", "share"), [(8.0, 200, 1.0), (1.0, 20, 1.0), (8.0, 1000, 0.1), (2.0, 300, 0.01)])
def test_the_noise_for_a_budget_is_theirs(budget: float, rounds: int, share: float) -> None:
    def made(noise: float) -> Any:
        one = dp_accounting.GaussianDpEvent(noise)
        return dp_accounting.SelfComposedDpEvent(one if share == 1 else dp_accounting.PoissonSampledDpEvent(share, one), rounds)

    other = dp_accounting.calibrate_dp_mechanism(lambda: rdp.RdpAccountant(orders=list(ORDERS)), made, budget, 1e-5)
    assert noise_for(budget, 1e-5, rounds, share) == pytest.approx(other, rel=0.005)
    assert math.isfinite(other)
