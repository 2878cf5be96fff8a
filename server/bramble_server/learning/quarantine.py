"""Who is asked no more: a client whose updates are unlike the cohort's again and again. Pure; whoever plays rounds keeps and stores it.

The judge looks at one round alone, and shortens or leaves out. A liar that it meets in each round still costs each a little, and nobody
hears of one that gives nothing. So what a client does is counted, round by round.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from bramble_protocol import reasons
from bramble_server.learning.judge import COHORT

LONG = 2.5
"""Times the cohort's median norm beyond which an update offends."""
SHORT = 0.05
"""Times it below which it does: whoever returns what it got trained nothing."""
AGAINST = -0.3
"""Cosine to the new model's way below which it does, in a round whose median goes along with that."""


@dataclass(frozen=True)
class Quarantine:
    """Who is in it, and who is on the way. A new one is made of each round's end; nothing is changed in place.

    Parameters
    ----------
    after
        How many rounds more a client must have offended in than not; 0 for never.
    least
        Clients that must be left of those that answered: a quarantine that ends all rounds would be the worse attack.
    """

    after: int
    least: int = COHORT
    scores: Mapping[str, int] = field(default_factory=dict)
    """How many more rounds a client offended in than not; never below 0, where it is not listed."""
    out: Mapping[str, str] = field(default_factory=dict)
    """Who is asked no more, and why, in a sentence that follows the client's name."""

    def judged(self, number: int, parts: Mapping[str, Mapping[str, Any]], pulls: Mapping[str, float]) -> Self:
        """Return what it is after a round that was committed.

        Parameters
        ----------
        parts
            What is known of each client's part, with ``update_norm``, ``cosine`` and ``reason``.
        pulls
            Which part of the way from the old model to the new one each update made, see :func:`pulls`.
        """
        if not self.after:
            return self
        answered = {client: part for client, part in parts.items() if part.get("update_norm") is not None}
        wrong, scores, out = offences(answered), dict(self.scores), dict(self.out)
        for client in answered:
            scores[client] = max(0, scores.get(client, 0) + (1 if client in wrong else -1))
        most = min((len(answered) + len(out)) // 2, len(answered) + len(out) - self.least)
        for client in sorted(wrong, key=lambda each: -scores[each]):
            if scores[client] >= self.after and client not in out and len(out) < most:
                said = f"offended in {scores.pop(client)} rounds more than not, last in round {number}: its update {wrong[client]}"
                out[client] = f"{said}{_effect(pulls.get(client))}"
        return replace(self, scores={client: score for client, score in scores.items() if score}, out=out)

    def released(self, client: str) -> Self:
        """Return it without a client, which begins anew."""
        scores = {name: score for name, score in self.scores.items() if name != client}
        return replace(self, scores=scores, out={name: why for name, why in self.out.items() if name != client})

    def to_json(self) -> dict[str, Any]:
        """Return who is where, for a store."""
        return {"scores": dict(self.scores), "out": dict(self.out)}


def offences(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return whose updates of a round are unlike the others', and how, in words that follow "its update"; nobody's in a small cohort."""
    if len(parts) < COHORT:
        return {}
    usual = statistics.median(part["update_norm"] for part in parts.values())
    agreed = statistics.median(part["cosine"] or 0.0 for part in parts.values()) > 0
    return {client: words for client, part in parts.items() if (words := _offence(part, usual, agreed))}


def _offence(part: Mapping[str, Any], usual: float, agreed: bool) -> str | None:
    norm, cosine = part["update_norm"], part["cosine"]
    if norm > LONG * usual:
        return f"was {norm / usual:.0f} times as long as the median" if usual else "was as good as alone in changing anything"
    if norm < SHORT * usual:
        return "was next to nothing, as of one that does not train"
    if agreed and cosine is not None and cosine < AGAINST:
        return f"went against the others' (cosine {cosine:.2f})"
    if part["reason"] and reasons.left_out(part["reason"]):
        return f"was {part['reason']}"
    return None


def pulls(parts: Mapping[str, Mapping[str, Any]], weights: Mapping[str, float], step: float) -> dict[str, float]:
    """Return which part of the way from the old model to the new one each update made; negative where it held it back.

    For an average of updates they come to 1; for another strategy they say what each would have been of an average as long.

    Parameters
    ----------
    weights
        What each counted for: samples, less what it was shortened by.
    step
        Length of the way.
    """
    total = sum(weights.values())
    if not total or not step:
        return {}
    along = {client: (part["cosine"] or 0.0) * part["update_norm"] for client, part in parts.items() if part.get("update_norm") is not None}
    return {client: weights.get(client, 0.0) / total * way / step for client, way in along.items()}


def _effect(pull: float | None) -> str:
    if pull is None or abs(pull) < 0.005:
        return ", and did next to nothing to the model"
    return f", and took the model {abs(pull):.0%} of that round's way {'back' if pull < 0 else 'along'}"
