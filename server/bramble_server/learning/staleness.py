"""What an update is worth that was trained from an earlier model than the one that it is to change."""

from __future__ import annotations

from bramble_protocol.layout import Weights


def discount(staleness: int, exponent: float) -> float:
    """Return by how much the way counts that such an update goes: ``(1 + s)^-a``, polynomial as in Nguyen et al. 2022, section 5.2.

    Parameters
    ----------
    staleness
        Rounds that have ended since its model was sent, ``s``.
    exponent
        ``a``; 0 has every update count alike.
    """
    return float((1 + staleness) ** -exponent)


def moved(weights: Weights, base: Weights, model: Weights) -> Weights:
    """Return the weights that go as far and in the same direction from ``model`` as these do from ``base``; each of shape (parameters,)."""
    return model + (weights - base)
