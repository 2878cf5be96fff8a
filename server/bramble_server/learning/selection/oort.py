"""Oort: who teaches the model most for the time that it takes is chosen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.selection.base import Call, Selection, drawn

CLIP = 0.95
"""Quantile of the utilities that none exceeds, so that no single client is always chosen."""


@dataclass(frozen=True)
class Balance(Parameters):
    """What can be set of Oort; the defaults are its authors'."""

    exploration: float = parameter(0.9, "Part of the first round's clients that were never heard.", least=0, most=1)
    decay: float = parameter(0.98, "What is left of that part from round to round.", above=0, most=1)
    least_exploration: float = parameter(0.2, "How small that part becomes.", least=0, most=1)
    penalty: float = parameter(2.0, "How much less a client counts that is slower than preferred; 0: speed is nothing.", least=0, most=10)
    preferred: float = parameter(0.3, "Part of the clients that are as fast as preferred, to begin with.", above=0, most=1)
    step: float = parameter(0.05, "How much larger that part becomes where rounds teach less than those before.", least=0, most=1)
    window: int = parameter(20, "Rounds that are compared with as many before.", least=1, most=100)
    cutoff: float = parameter(0.95, "Utilities of so much of the last one that would be taken are taken at random, too.", above=0, most=1)


class Oort(Selection):
    """Chooses who teaches the model most for its time, and some never heard: fast where both data and speed differ.

    Utility of client i (Lai et al. 2021, OSDI, equation 2)::

        Util(i) = |B_i| sqrt(1/|B_i| sum_k Loss(k)^2) * (T / t_i)^(1(T < t_i) alpha)

    and algorithm 1: the first factor is clipped at its 95th percentile and grows by ``sqrt(0.1 ln R / L_i)`` with the time since round
    ``L_i``; ``1 - epsilon`` of the clients are drawn by utility from those above the cut-off, ``epsilon`` from those never heard, and
    epsilon decays. Where this differs: clients report a mean loss and no squares, so the root of the mean square is taken for the mean;
    the first factor is scaled to at most 1 before the second is added, as in the authors' own code; and T is, as there, a quantile of
    the measured times, raised each time that a window of the rounds that are remembered taught less than the one before.
    """

    takes = Balance
    by_loss = True
    parameters: Balance

    def choose(self, call: Call, clients: Sequence[str]) -> list[str]:
        """Exploit those that were heard, explore those that were not."""
        generator, heard = call.generator(), self.utilities(call, clients)
        new = [client for client in clients if client not in heard]
        part = max(self.parameters.least_exploration, self.parameters.exploration * self.parameters.decay ** (call.round - 1))
        exploring = min(len(new), max(round(part * call.count), call.count - len(heard)))
        return self._exploited(generator, heard, call.count - exploring) + drawn(generator, new, exploring)

    def _exploited(self, generator: np.random.Generator, utilities: Mapping[str, float], count: int) -> list[str]:
        if not count:
            return []
        last = sorted(utilities.values(), reverse=True)[count - 1]
        pool = [client for client, utility in utilities.items() if utility >= self.parameters.cutoff * last]
        return drawn(generator, pool, count, [utilities[client] + 1e-12 for client in pool])

    def utilities(self, call: Call, clients: Sequence[str]) -> dict[str, float]:
        """Return the utility of each client that was heard."""
        heard = {client: known for client in clients if (known := call.of(client)).loss is not None}
        if not heard:
            return {}
        worth = np.array([(known.samples or 0) * (known.loss or 0.0) for known in heard.values()])
        worth = np.minimum(worth, np.quantile(worth, CLIP))
        worth = worth / (worth.max() or 1.0)
        preferred = self.preferred_time(call, clients)
        found = {}
        for (client, known), value in zip(heard.items(), worth.tolist(), strict=True):
            value += math.sqrt(0.1 * math.log(max(1, call.round)) / max(1, known.answered or 1))
            slow = preferred is not None and known.seconds is not None and known.seconds > preferred
            found[client] = value * ((preferred or 0.0) / (known.seconds or 1.0)) ** self.parameters.penalty if slow else value
        return found

    def preferred_time(self, call: Call, clients: Sequence[str]) -> float | None:
        """Return T, in seconds: a quantile of the measured times, larger the more often rounds taught less; None if nobody was measured."""
        times = [known.seconds for client in clients if (known := call.of(client)).seconds is not None]
        windows: dict[int, float] = {}
        for number, utility in call.utilities.items():
            windows.setdefault(number // self.parameters.window, 0.0)
            windows[number // self.parameters.window] += utility
        sums = [windows[index] for index in sorted(windows) if (index + 1) * self.parameters.window <= call.round]
        raised = sum(before > after for before, after in itertools.pairwise(sums))
        part = min(1.0, self.parameters.preferred + raised * self.parameters.step)
        return float(np.quantile(times, part)) if times else None
