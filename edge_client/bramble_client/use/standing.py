"""Which of several models does best at this site: their errors of late on readings that none of them had seen, against the baseline's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from bramble_protocol.health import IN_USE

BASELINE, GLOBAL, PERSONAL, BLEND = CHOICES = IN_USE
HALF_LIFE = 500.0
"""Windows after which an error counts half: three weeks of hourly ones. A season may change the choice, a week's weather not."""
ENOUGH = 20.0
"""Windows that a model must have been scored on before anything goes by it."""
MARGIN = 0.01
"""Part by which another's error must be lower before it takes the place of what is in use: two that are as good do not take turns."""


class Score(NamedTuple):
    """Sums over the windows that a model was scored on, older ones counting less."""

    error: float
    baseline: float
    """The baseline's error on the same windows."""
    windows: float

    @property
    def ratio(self) -> float:
        """Error as a part of the baseline's, as the graph gives it (of squared errors, for a metric with a root)."""
        if self.baseline > 0:
            return self.error / self.baseline
        return 1.0 if self.error <= 0 else float("inf")


@dataclass(frozen=True)
class Standing:
    """How the models stand at this site, and which is in use."""

    scores: Mapping[str, Score] = field(default_factory=dict)
    in_use: str = BASELINE
    """One of ``CHOICES``; the baseline until a model has shown that it does better."""

    def scored(self, errors: Mapping[str, float], baseline: float, windows: int, without: tuple[str, ...] = ()) -> Standing:
        """Return it after so many new windows.

        Each is compared with the baseline on the windows that it was itself scored on, so that one which came later is not judged
        by another season.

        Parameters
        ----------
        errors
            Mean error of each model that was scored on them; one that is not among these is forgotten.
        baseline
            The baseline's.
        windows
            How many they are.
        without
            What cannot be gone by here.
        """
        keep = 0.5 ** (windows / HALF_LIFE)
        scores = {}
        for name, error in {BASELINE: baseline, **errors}.items():
            old = self.scores.get(name, Score(0.0, 0.0, 0.0))
            scores[name] = Score(old.error * keep + error * windows, old.baseline * keep + baseline * windows, old.windows * keep + windows)
        return replace(self, scores=scores, in_use=_choice(scores, self.in_use, without))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"in_use": self.in_use, "scores": {name: list(score) for name, score in self.scores.items()}}

    @classmethod
    def from_json(cls, value: Any) -> Standing:
        """Read what :meth:`to_json` gave.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            If it is something else.
        """
        if value["in_use"] not in CHOICES:
            raise ValueError("in_use")
        return cls({str(name): Score(*map(float, score)) for name, score in value["scores"].items()}, value["in_use"])


def _choice(scores: Mapping[str, Score], in_use: str, without: tuple[str, ...]) -> str:
    able = {name: score.ratio for name, score in scores.items() if name not in without and (score.windows >= ENOUGH or name == BASELINE)}
    if not able:
        return GLOBAL
    best = min(able, key=lambda name: (able[name], CHOICES.index(name)))
    return in_use if in_use in able and able[best] > (1 - MARGIN) * able[in_use] else best
