"""What a round does with its updates once they are judged: hands those that count to its strategy, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_server.learning.judge import Verdict
from bramble_server.learning.staleness import discount
from bramble_server.learning.strategies import Aside, Strategy, Update, shorten
from bramble_server.rounds.roundfile import Record


def fold(
    strategy: Strategy, model: Weights, updates: Iterable[tuple[str, Weights]], records: Mapping[str, Record],
    verdicts: Mapping[str, Verdict], read: Callable[[Record, Weights, str], None], aside: Callable[[Record, float], Aside],
    staleness: Callable[[str], int], exponent: float,
) -> dict[str, str]:  # fmt: skip
    """Have a strategy take in the updates that count; return by client why it takes one of them not.

    Parameters
    ----------
    model
        What the round began with, shape (parameters,).
    updates
        Clients and their weights, in order; the arrays may be written to.
    read
        Reads a section that an update has beside its weights into an array of shape (parameters,).
    aside
        Returns what reads the weights of an update part by part, for a strategy that must see all at once.
    staleness
        How many rounds ended since a client was asked.
    exponent
        How fast an update counts less by that.
    """
    strategy.begin(model)
    space: dict[str, Weights] = {}
    refused = {}
    for client, weights in updates:
        verdict, record = verdicts[client], records[client]
        if verdict.reason is not None:
            continue
        stale = staleness(client)
        reach = verdict.reach * discount(stale, exponent)
        if reach < 1:
            shorten(weights, model, reach)
        for name in record.sections:
            if name not in space:
                space[name] = np.empty_like(weights)
            read(record, space[name], name)
        update = Update(
            client, verdict.samples, weights, record.about["metrics"], record.about.get("steps"), record.about.get("since"),
            stale, {name: space[name] for name in record.sections}, aside(record, reach),
        )  # fmt: skip
        try:
            strategy.fold(update)
        except BrambleError as error:
            refused[client] = str(error)
    return refused
