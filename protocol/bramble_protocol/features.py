"""What two peers may do beyond the contract's first version, by name: each is used only where both have named it.

A client names its features in the handshake. A server uses with it what both know, and says in each request what it uses;
a client answers in what it was asked in. A new codec, vector, event or phase of a round comes under a name of its own here.
"""

from __future__ import annotations

from collections.abc import Iterable

from bramble_protocol import codecs

SECTIONS = "sections"
"""Vectors travel in one attachment with named sections (:mod:`bramble_protocol.sections`)."""
TRACKS = "tracks"
"""Several tasks are learnt side by side: a client keeps a request and an answer for each, and a ``reset`` may name one."""
ROUND_OVER = "round_over"
"""A client that is told that a round goes on without it stops training for it."""
EVALUATE = "evaluate"
"""A client tries models, without training, on readings that they were not trained on."""
STEPS = "steps"
"""An answer says how many steps the client took."""
MOMENTUM = "momentum"
"""A request says which part of a step goes into the next."""
CORRECTION = "correction"
"""A request brings what is added to the gradient of each step."""
CONTROL = "control"
"""A client keeps a control of its own from round to round (:class:`bramble_protocol.messages.extras.Control`)."""
COUNTS = "counts"
"""A request asks for what :func:`bramble_protocol.kinds.counted` says, and brings the threshold of a task that reconstructs."""
CHAMPION = "champion"
"""A request may bring the best model so far beside the one to train, which the client tests on the same windows, and uses."""
SECURE = "secure"
"""A client takes part in rounds whose updates nobody sees, only their sum (:mod:`bramble_protocol.secure`)."""
NOISE = "noise"
"""A client shortens its update and adds noise before it masks it (:mod:`bramble_protocol.secure.noised`)."""
EXTRAS = (STEPS, MOMENTUM, CORRECTION, CONTROL)
"""What a strategy may need of clients; each comes in sections alone."""
FEATURES = (SECTIONS, TRACKS, ROUND_OVER, EVALUATE, *codecs.NAMED, *EXTRAS, COUNTS, CHAMPION, SECURE, NOISE)
"""All that this version knows."""


def common(named: Iterable[str]) -> tuple[str, ...]:
    """Return those of the features that a peer named which are known here, each once, in the order of ``FEATURES``."""
    told = set(named)
    return tuple(name for name in FEATURES if name in told)
