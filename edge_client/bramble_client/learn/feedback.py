"""What a codec that sends only part of a run's work leaves for the next one, which adds it to what it sends: nothing is lost, only late.

That is error feedback (Stich et al. 2018, algorithm 1). It is kept beside the answer that it belongs to, and holds once the server took
that: an answer that was refused, or never arrived, leaves what was there before, and so does one whose round came to nothing
afterwards, which the next request says. One in an encoding that sends everything leaves nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from bramble_protocol import codecs
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate


class Left(NamedTuple):
    """What an answer left to be added to the next one."""

    added: Weights
    """Shape (layout.size,)."""
    round: int = 0
    """The answer's."""
    before: Weights | None = None
    """What there was before it, which holds again if that round came to nothing; None for nothing."""


class Shared(NamedTuple):
    """What a run's work comes to between server and client."""

    sent: Weights
    """What is to be encoded, shape (layout.size,)."""
    left: Left | None
    """What is to be kept of it; None for nothing."""


def share(update: ClientUpdate, trained: Weights, left: Left | None, seed: str) -> Shared:
    """Add what the last answer left to what was trained.

    Parameters
    ----------
    update
        What was asked.
    trained
        Shape (layout.size,).
    left
        Of the last answer that the server took; None for nothing.
    seed
        With which the answer will be encoded.
    """
    encoding, layout = update.reply_encoding, update.layout
    if not codecs.find(encoding).partial:
        return Shared(trained, None)
    added = None if left is None else left.before if left.round in update.abandoned else left.added
    sent = trained if added is None else trained + added
    came = codecs.decode(codecs.encode(sent, layout, encoding, update.base, seed=seed), layout, encoding, update.base)
    return Shared(sent, Left(sent - came, update.round, added))
