"""Median: of each parameter the middle one of the clients' values."""

from __future__ import annotations

from bramble_server.learning.parameters import Parameters
from bramble_server.learning.strategies.trimmedmean import TrimmedMean


class Median(TrimmedMean):
    """Of each parameter the middle one of the clients' values: for fleets in which up to half may lie.

    Coordinate-wise median (Yin et al. 2018, definition 1 and algorithm 1, option I): ``w_j <- median_k(w_kj)``, of an even number the
    mean of the two in the middle. It is the trimmed mean that leaves out all others. All clients count the same.
    """

    takes = Parameters

    def trimmed(self, updates: int) -> int:
        """Leave out all but one or two."""
        return (updates - 1) // 2
