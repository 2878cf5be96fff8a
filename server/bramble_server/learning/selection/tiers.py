"""Tiers: clients of one speed are asked together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.selection.base import Call, Selection, drawn


@dataclass(frozen=True)
class Speeds(Parameters):
    """What can be set of the selection by tiers."""

    tiers: int = parameter(5, "Groups of clients of like speed.", least=1, most=1000)


class Tiers(Selection):
    """Chooses clients of one speed: a fast client does not wait for slow ones, and slow ones have rounds of their own.

    Clients are put into tiers by how long they take; a round draws a tier, each with the same probability, and then clients of it (TiFL:
    Chai et al. 2020, sections 4.2 and 4.3, static selection). Who was never measured is asked first, as TiFL profiles all clients before
    it begins. Each round sorts them anew, by the times that were measured last, so that the tiers follow a client that became slower, where
    TiFL would have to profile again. A tier that is too small is filled up from those nearest to it in speed.
    """

    takes = Speeds
    parameters: Speeds

    def choose(self, call: Call, clients: Sequence[str]) -> list[str]:
        """Measure who was not, or else draw a tier and clients of it."""
        generator = call.generator()
        new = [client for client in clients if call.of(client).seconds is None]
        chosen = drawn(generator, new, call.count)
        if len(chosen) < call.count:
            tiers = self.sorted_into_tiers(call, [client for client in clients if client not in set(new)])
            first = self.first(call, tiers, generator)
            for index in sorted(range(len(tiers)), key=lambda index: (abs(index - first), index)):
                chosen += drawn(generator, tiers[index], call.count - len(chosen))
        return chosen

    def first(self, call: Call, tiers: Sequence[Sequence[str]], generator: np.random.Generator) -> int:
        """Draw which of the tiers is asked, by its place: each with the same probability."""
        return int(generator.integers(len(tiers)))

    def sorted_into_tiers(self, call: Call, clients: Sequence[str]) -> list[list[str]]:
        """Return the tiers, the fastest first; none is empty, and they differ by at most one client."""
        by_speed = sorted(clients, key=lambda client: (call.of(client).seconds or 0.0, client))
        parts = np.array_split(np.arange(len(by_speed)), self.parameters.tiers)
        return [[by_speed[index] for index in part] for part in parts if len(part)]
