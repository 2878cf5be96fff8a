"""What a request may bring beside the model to train: the best one so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from bramble_protocol.layout import Weights


@dataclass(frozen=True, eq=False)
class Champion:
    """The best model so far, which a client tests on the windows on which it tests the one that it is to train."""

    round: int
    """Whose model it is; the answer's metrics repeat it."""
    weights: Weights = field(repr=False)
    """Shape (layout.size,)."""
