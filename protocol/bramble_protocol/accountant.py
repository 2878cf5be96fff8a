"""What rounds with Gaussian noise spend of a privacy budget: epsilon at a delta, by Rényi differential privacy.

Two fleets are neighbours if one has a client more, with all that it measured. A round adds up updates of at most a length, of clients that
were drawn, and noise whose deviation is ``noise_multiplier`` times that length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError

ORDERS: tuple[float, ...] = (*(1 + tenth / 10 for tenth in range(1, 100)), *range(11, 64), 128, 256, 512, 1024)
"""Orders of Rényi divergence among which the best is taken."""
_REACH, _STEPS = 14.0, 16
"""Deviations of the noise on either side of what an integral is over, and steps to each."""
LEAST_NOISE, MOST_NOISE = 0.1, 1e6
"""Noise multipliers between which one is looked for."""


@dataclass(frozen=True)
class Release:
    """One kind of round: what was added to the sum, and who was in it."""

    noise_multiplier: float
    """Deviation of the noise over the length to which updates are shortened; above 0."""
    share: float = 1.0
    """Probability with which each client is drawn, independently of all others; 1 where clients are asked by any other rule, for only
    chance that nobody sees makes a round cost less.
    """

    def __post_init__(self) -> None:
        if not (0 < self.noise_multiplier < math.inf and 0 < self.share <= 1):
            raise BrambleError(f"a round has noise of more than 0 and asks a share of clients in (0, 1], not {self}")


def renyi(release: Release) -> NDArray[np.float64]:
    """Return the Rényi divergence that a round costs at most, shape (orders,), by :data:`ORDERS`.

    Of the sampled Gaussian mechanism (Mironov, Talwar and Zhang 2019, sections 2.2 and 3.3), with ``s`` the noise and ``q`` the share::

        1 / (a - 1) * log E_{x ~ N(0, s^2)} [(1 - q + q exp((2 x - 1) / (2 s^2)))^a]

    The expectation is computed by the trapezoid rule, whose error for so smooth a function is below what float64 tells apart.
    """
    noise, share = release.noise_multiplier, release.share
    orders = np.array(ORDERS)
    if share == 1:
        return orders / (2 * noise**2)  # Mironov 2017, proposition 7
    return np.array([_log_moment(order, noise, share) / (order - 1) for order in ORDERS])


def _log_moment(order: float, noise: float, share: float) -> float:
    step = noise / _STEPS
    at = np.arange(-_REACH * noise, order + _REACH * noise + step, step)
    likelihood = np.logaddexp(math.log1p(-share), math.log(share) + (2 * at - 1) / (2 * noise**2))
    terms = order * likelihood - at**2 / (2 * noise**2)
    largest = terms.max()
    return float(largest + math.log(np.exp(terms - largest).sum()) + math.log(step / (noise * math.sqrt(2 * math.pi))))


def epsilon(releases: Mapping[Release, int], delta: float) -> float:
    """Return the least epsilon for which all of these rounds together are (epsilon, delta)-differentially private.

    Divergences add up, order by order (Mironov 2017, proposition 1), and become an epsilon by proposition 12 of Canonne, Kamath and
    Steinke 2020.

    Parameters
    ----------
    releases
        How many rounds there were of each kind.
    delta
        The probability with which epsilon may not hold, in (0, 1).

    Raises
    ------
    BrambleError
        If delta is none.
    """
    return of(sum((count * renyi(release) for release, count in releases.items()), np.zeros(len(ORDERS))), delta)


def of(divergence: NDArray[np.float64], delta: float) -> float:
    """Return the epsilon of what was spent, shape (orders,), as :func:`epsilon` does."""
    if not 0 < delta < 1:
        raise BrambleError(f"delta is a probability above 0 and below 1, not {delta:g}")
    if (delta**2 + np.expm1(-divergence) >= 0).any():
        return 0.0  # so close that delta alone covers it: total variation is at most sqrt(1 - exp(-divergence))
    orders = np.array(ORDERS)
    found = divergence + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, float(found.min()))


def noise_for(budget: float, delta: float, rounds: int, share: float = 1.0) -> float:
    """Return the least noise multiplier with which so many rounds stay within a budget, to a thousandth of itself, rounded upwards.

    Raises
    ------
    BrambleError
        If the budget is not above 0, or so small that no noise would do.
    """
    if not 0 < budget < math.inf:
        raise BrambleError(f"epsilon is a number above 0, not {budget:g}")

    def spent(noise: float) -> float:
        return epsilon({Release(noise, share): rounds}, delta)

    low, high = LEAST_NOISE, LEAST_NOISE
    while spent(high) > budget:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise BrambleError(
                f"no noise keeps {rounds} rounds within an epsilon of {budget:g} at a delta of {delta:g}; allow more, or fewer rounds"
            )
    while high - low > high / 2000:
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > budget else (low, middle)
    return math.ceil(high * 1e4) / 1e4
