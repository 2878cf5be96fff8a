"""When to ask a person: where the model is less sure than it mostly is here, and not too often. Pure: told what was found, and when."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

DAY_S = 86_400.0
REMEMBERED = 100
"""Windows by whose margins it is judged whether another's is small."""
FEW = 10
"""Windows up to which nothing is known of what is usual, and all are asked about."""


class Asking:
    """Decides about each window, in order of time.

    How sure a model is, is its margin: the probability of the most probable class less that of the second (Scheffer et al. 2001). It is
    small if it is among the smallest of late at this client: a badly fitting model, unsure of everything, does not use up all questions.

    Parameters
    ----------
    daily
        Most questions in a day (UTC).
    share
        Part of the windows that may be asked about, the least sure ones.
    asked
        What a former process had in ``asked`` at last.
    """

    def __init__(self, daily: int, share: float, asked: tuple[int, int] = (-1, 0)) -> None:
        self._daily, self._share = daily, share
        self._margins: deque[float] = deque(maxlen=REMEMBERED)
        self.asked = asked
        """The last day with a question, since 1970-01-01 UTC, and how many it had."""

    def about(self, probabilities: Sequence[float], at: float) -> bool:
        """Return whether to ask about a window.

        Parameters
        ----------
        probabilities
            Of each class, shape (classes,).
        at
            When it ended, seconds since 1970-01-01 UTC.
        """
        second, first = sorted(probabilities)[-2:]
        margin, day = first - second, int(at // DAY_S)
        small = len(self._margins) < FEW or margin <= float(np.quantile(self._margins, self._share))
        self._margins.append(margin)
        already = self.asked[1] if day == self.asked[0] else 0
        if not small or already >= self._daily:
            return False
        self.asked = day, already + 1
        return True


def order(probabilities: Sequence[float]) -> tuple[int, ...]:
    """Return the classes' numbers, the most probable first."""
    return tuple(sorted(range(len(probabilities)), key=lambda number: -probabilities[number]))
