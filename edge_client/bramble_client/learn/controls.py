"""The control that a client keeps for a strategy such as SCAFFOLD: a vector of its own that goes on from round to round.

It is kept here and not on the server, whose memory would grow with the fleet, and to whom it tells as much as the weights do: a server
in private mode keeps nothing of a single client. Whether a round counted an answer, a client hears with the next request, which names
the round whose control holds; so it keeps the newest two. A client that has lost the one that is named begins with zeros, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bramble_protocol import codecs
from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import ClientUpdate
from bramble_protocol.messages.extras import DELTA

Controls = Mapping[int, Weights]
"""A client's controls by the rounds that made them, each of shape (layout.size,)."""


@dataclass(frozen=True)
class Held:
    """What a run starts with: the control, and the round that made it; zeros and 0 where there is none."""

    since: int
    own: Weights


@dataclass(frozen=True)
class Moved:
    """What a run leaves: how far the control moved, as it is sent, and what to keep once the server took the answer."""

    sections: Mapping[str, Weights]
    controls: Controls


def held(update: ClientUpdate, controls: Controls) -> Held | None:
    """Return the control that a request asks to go on with; None if it asks for none."""
    asked = update.extras.control
    if asked is None:
        return None
    own = controls.get(asked.since)
    return Held(0, np.zeros(update.layout.size, np.float32)) if own is None else Held(asked.since, own)


def correction(update: ClientUpdate, own: Held | None) -> Weights | None:
    """Return what is added to the gradient of each step, or None."""
    total, control = update.extras.correction, update.extras.control
    if own is None or control is None:
        return total
    with np.errstate(over="ignore"):  # what is not finite is found out by the weights that come of it
        total = -own.own if total is None else total - own.own
        return total if control.common is None else total + control.common


def moved(update: ClientUpdate, own: Held | None, controls: Controls, trained: Weights, steps: int) -> Moved:
    """Return what becomes of the control with a run that took so many steps."""
    control = update.extras.control
    if own is None or control is None:
        return Moved({}, controls)
    with np.errstate(all="ignore"):  # what is not finite does not travel, and is refused with a sentence
        rate = np.float32(1) / np.float32(steps * update.config.learning_rate) if control.rate is None else np.float32(control.rate)
        delta = rate * (update.weights - trained)
        if control.common is not None:
            delta -= control.common
    sent = _as_sent(delta, update.layout, codecs.plain(update.reply_encoding))
    kept = {own.since: own.own, update.round: own.own + sent} if own.since else {update.round: sent}
    return Moved({DELTA: sent}, kept)


def _as_sent(vector: Weights, layout: Layout, encoding: str) -> Weights:
    """Return a vector as the server will have it, so that both go on with the same."""
    return codecs.decode(codecs.encode(vector, layout, encoding, what=DELTA), layout, encoding, what=DELTA)
