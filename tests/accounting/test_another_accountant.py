"""What rounds spend, against Google's dp-accounting, which has pins of its own and so an environment of its own: make test-accounting."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.allowance import Allowance, Bounds
from bramble_protocol.accountant import ORDERS, Release, epsilon, noise_for, renyi
from bramble_protocol.layout import Layout
from bramble_protocol.messages import ClientUpdate, TrainConfig
from bramble_server.learning.strategies import Context, create, planned

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


@pytest.mark.parametrize(
    ("noise", "least", "colluding", "rounds"), list(itertools.product((0.5, 1.0, 3.0, 20.0), (2, 10, 1000), (0, 1), (1, 20, 500)))
)
def test_shares_of_noise_in_a_secure_sum_come_to_what_theirs_says_of_the_noise_that_is_counted_on(
    noise: float, least: int, colluding: int, rounds: int
) -> None:
    strategy = create("dp", noise_multiplier=noise, quantile=0.5, clip=0.3, colluding=colluding)
    planned(strategy, Context(1, np.zeros(1, np.float32), TrainConfig()), [f"pi-{number}" for number in range(2000)])
    shared = strategy.shared(least)
    honest = (shared.deviation * math.sqrt(least - colluding)) / np.linalg.norm([shared.clip, shared.within / 2, shared.relative])
    other = theirs(float(honest), 1.0, rounds).get_epsilon(1e-5)
    assert epsilon({strategy.release or Release(1e6): rounds}, 1e-5) == pytest.approx(other, rel=0.01, abs=1e-9)


@pytest.mark.parametrize(("noise", "rounds"), list(itertools.product((2.0, 8.0, 40.0), (1, 12, 300))))
def test_noise_on_a_client_is_counted_as_theirs_counts_updates_that_are_two_clips_apart(noise: float, rounds: int, tmp_path: Path) -> None:
    allowance = Allowance(tmp_path, Bounds(clip=0.7, noise=noise))
    layout = Layout.of([("w", [1])])
    for number in range(1, rounds + 1):
        asked = ClientUpdate(number, "small", "0" * 64, layout, "float32", "float32", np.zeros(1, np.float32), TrainConfig())
        allowance.spend(asked)
    other = theirs(noise * 0.7 / (2 * 0.7), 1.0, rounds).get_epsilon(1e-5)
    assert allowance.told(rounds)["epsilon"] == pytest.approx(other, rel=0.01)


@pytest.mark.parametrize(("budget", "rounds", "share"), [(8.0, 200, 1.0), (1.0, 20, 1.0), (8.0, 1000, 0.1), (2.0, 300, 0.01)])
def test_the_noise_for_a_budget_is_theirs(budget: float, rounds: int, share: float) -> None:
    def made(noise: float) -> Any:
        one = dp_accounting.GaussianDpEvent(noise)
        return dp_accounting.SelfComposedDpEvent(one if share == 1 else dp_accounting.PoissonSampledDpEvent(share, one), rounds)

    other = dp_accounting.calibrate_dp_mechanism(lambda: rdp.RdpAccountant(orders=list(ORDERS)), made, budget, 1e-5)
    assert noise_for(budget, 1e-5, rounds, share) == pytest.approx(other, rel=0.005)
    assert math.isfinite(other)
