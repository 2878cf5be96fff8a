"""Adaptive tiers: tiers that the model serves worse are asked more often, each no more often than its credits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bramble_server.learning.parameters import parameter
from bramble_server.learning.selection.base import Call
from bramble_server.learning.selection.tiers import Speeds, Tiers


@dataclass(frozen=True)
class Credits(Speeds):
    """What can be set of the selection by adaptive tiers."""

    credits: int = parameter(0, "Of the last 200 rounds, how many may be of one tier; 0: no bound.", least=0, most=200)


class AdaptiveTiers(Tiers):
    """Chooses clients of one speed, and most often of the speed that the model serves worst, within what that may cost in time.

    Tiers as :class:`Tiers` makes them; which is asked is drawn by its losses (TiFL: Chai et al. 2020, section 4.4, algorithm 2): of the
    ``n`` tiers with credits left, sorted by their mean loss, the one in place ``i`` from the worst, beginning with 1, has the probability
    ``(n - i) / D`` with ``D = n (n - 1) / 2``. A tier spends a credit with each round that asks it. Where this differs: a tier's loss is
    what its clients told last, over their samples, and not an accuracy that is measured every few rounds, and so the probabilities follow
    it from round to round; tiers are made anew in each round, so a tier has spent what its clients have; and credits come back after 200
    rounds. Where none has any left the fastest tier is asked, which costs least.
    """

    takes = Credits
    by_loss = True
    parameters: Credits

    def first(self, call: Call, tiers: Sequence[Sequence[str]], generator: np.random.Generator) -> int:
        """Draw a tier by the losses of those that have credits left."""
        bound = self.parameters.credits
        left = [
            index for index, tier in enumerate(tiers) if not bound or sum(call.of(client).times for client in tier) < bound * call.count
        ]
        if len(left) < 2:
            return left[0] if left else 0
        worst = sorted(left, key=lambda index: -_loss(call, tiers[index]))
        rank = np.arange(len(left) - 1, -1, -1.0)
        return int(generator.choice(worst, p=rank / rank.sum()))


def _loss(call: Call, tier: Sequence[str]) -> float:
    """Return a tier's mean loss over its samples; of one of which nobody told any, more than all others'."""
    told = [(known.samples, known.loss) for client in tier if (known := call.of(client)).loss is not None and known.samples]
    samples, losses = zip(*told, strict=True) if told else ((), ())
    return float(np.average(losses, weights=samples)) if told else math.inf
