"""Strategies by name. A new one is a file beside ``fedavg.py`` and a line in ``STRATEGIES``."""

from __future__ import annotations

from bramble_protocol.errors import BrambleError
from bramble_server.learning.strategies.base import Strategy
from bramble_server.learning.strategies.fedavg import FedAvg

STRATEGIES: dict[str, type[Strategy]] = {"fedavg": FedAvg}

__all__ = ["STRATEGIES", "Strategy", "create"]


def create(name: str) -> Strategy:
    """Return a new strategy by its name.

    Raises
    ------
    BrambleError
        If there is none of that name.
    """
    if name not in STRATEGIES:
        raise BrambleError(f"strategy: {name!r} is not one of {', '.join(sorted(STRATEGIES))}")
    return STRATEGIES[name]()
