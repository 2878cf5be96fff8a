"""Poisson: each client by a coin of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bramble_server.learning.selection.base import Call, Selection

SELDOM = 1e-12
"""Probability of too few clients up to which it counts for nothing beside a delta."""


class Poisson(Selection):
    """Asks each client by a coin of its own: how many are asked is left to chance, and a round with noise costs less of a budget.

    Poisson sampling, by which a private mechanism is amplified (Mironov, Talwar and Zhang 2019), as long as nobody knows who was asked.
    """

    coins = True

    def choose(self, call: Call, clients: Sequence[str]) -> list[str]:
        """Toss a coin for each."""
        tossed = call.generator().random(len(clients)) < call.share
        return [client for client, asked in zip(clients, tossed, strict=True) if asked]


def fewer_than(least: int, clients: int, share: float) -> float:
    """Return how probable it is that fewer than so many of the clients are asked, each with a probability of ``share``."""
    if share == 1 or clients < least:
        return float(clients < least)
    logs = (
        math.lgamma(clients + 1) - math.lgamma(asked + 1) - math.lgamma(clients - asked + 1)
        + asked * math.log(share) + (clients - asked) * math.log1p(-share)
        for asked in range(least)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))
