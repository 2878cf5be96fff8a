"""Least recent: who was not asked for longest is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from bramble_server.learning.selection.base import Call, Selection, drawn


class LeastRecent(Selection):
    """Chooses who was not asked for longest: everybody takes part equally often, and nobody's update grows old.

    Round robin (Yang et al. 2020, "Scheduling policies for federated learning in wireless networks", section III) by the age of each
    client's last request; among equals the seed decides.
    """

    def choose(self, call: Call, clients: Sequence[str]) -> list[str]:
        """Sort by the last request, those that had none first."""
        shuffled = drawn(call.generator(), clients, len(clients))
        return sorted(shuffled, key=lambda client: call.of(client).asked or 0)[: call.count]
