"""Loss: whom the model serves worst is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bramble_server.learning.parameters import Parameters, parameter
from bramble_server.learning.selection.base import Call, Selection, drawn
from bramble_server.learning.selection.samples import sizes


@dataclass(frozen=True)
class Candidates(Parameters):
    """What can be set of the selection by loss."""

    candidates: float = parameter(
        2.0, "How many times as many clients as are wanted are looked at: more are faster, and more biased.", least=1, most=1000
    )


class Loss(Selection):
    """Chooses those of some candidates whose loss was largest: faster where data differ, at some bias towards who is hard to serve.

    Of ``d`` candidates, drawn in proportion to their samples without putting them back, the ``m`` with the largest local loss (power of
    choice: Cho, Wang and Joshi 2020, section 2, in the variant rpow-d, whose losses are those that came with a client's last update).
    Who was never heard comes first.
    """

    takes = Candidates
    by_loss = True
    parameters: Candidates

    def choose(self, call: Call, clients: Sequence[str]) -> list[str]:
        """Draw the candidates, and take those whose loss was largest."""
        count = min(len(clients), max(call.count, round(self.parameters.candidates * call.count)))
        candidates = drawn(call.generator(), clients, count, sizes(call, clients))
        return sorted(candidates, key=lambda client: -_loss(call, client))[: call.count]


def _loss(call: Call, client: str) -> float:
    loss = call.of(client).loss
    return math.inf if loss is None else loss
