"""Uniform: any client, each alike."""

from __future__ import annotations

from collections.abc import Sequence

from bramble_server.learning.selection.base import Call, Selection, drawn


class Uniform(Selection):
    """Chooses at random, every client alike: the default, and free of any bias.

    ``S_t <- (random set of m clients)`` (McMahan et al. 2017, algorithm 1).
    """

    def choose(self, call: Call, clients: Sequence[str]) -> list[str]:
        """Draw without looking at anybody."""
        return drawn(call.generator(), clients, call.count)
