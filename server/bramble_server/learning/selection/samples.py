"""Samples: who has more data is chosen more often."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bramble_server.learning.selection.base import Call, Selection, drawn


class Samples(Selection):
    """Chooses at random in proportion to samples: for fleets in which few clients have most of the data.

    ``p_k = n_k / n`` (Li et al. 2020, "On the convergence of FedAvg on non-IID data", scheme I), here without putting clients back. Who
    was never heard counts as the median of those that were.
    """

    def choose(self, call: Call, clients: Sequence[str]) -> list[str]:
        """Draw by samples."""
        return drawn(call.generator(), clients, call.count, sizes(call, clients))


def sizes(call: Call, clients: Sequence[str]) -> list[float]:
    """Return each client's samples, as far as they are known."""
    told = [call.of(client).samples for client in clients]
    usual = statistics.median([samples for samples in told if samples is not None] or [1])
    return [float(usual if samples is None else samples) for samples in told]
