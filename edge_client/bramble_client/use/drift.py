"""Has a site changed? Page and Hinkley's test on a model's error, day by day, against what it was at the same site before."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

DAY = 86400.0
TOLERANCE = 0.3
"""How much an error's logarithm may be above its mean and be no sign of anything: a third more."""
THRESHOLD = 10.0
"""Sum of what is beyond that from which on it is a drift: an error three times as large for two weeks, or five times for nine days."""
LARGEST = 1.5
"""What a day counts at most, an error four and a half times as large: a storm is over after a day or two, a broken sensor is not."""
PAST = 90
"""Days that the mean goes back: seasons are no drift, but in less it becomes used to a drift before the sum says so."""
LEAST = 14
"""Days before which nothing is said."""
SHOWN = 14
"""Days for which a drift is told."""
_TINY = 1e-12


class Day(NamedTuple):
    """What was found in a day, or in a part of one."""

    number: int
    """Of the day, since 1970-01-01 UTC."""
    error: float
    """Sum of the errors of its windows, each as the graph gives it."""
    windows: float


@dataclass(frozen=True)
class Drift:
    """The test's state after the days that it has seen.

    Of x, the logarithm of a day's mean error, it adds up x - mean(x) - tolerance, the difference bounded above. Where that sum is further
    above the least that it has been than the threshold, the error has risen, and it rose when the sum was least (Page 1954, Continuous
    inspection schemes; Hinkley 1971; as a detector for learners: Gama et al. 2014, A survey on concept drift adaptation, section 3.2.2).
    """

    filling: Day | None = None
    """The day that is not over."""
    days: int = 0
    """How many it has seen since it began, or since the last drift."""
    mean: float = 0.0
    total: float = 0.0
    least: float = 0.0
    least_on: int = 0
    """The day on which the sum was least."""
    since: int | None = None
    """The first day of the drift that was found last; None if there is none to be told."""
    found_on: int = 0
    """The day on which it was found."""
    changed: int | None = None
    """The first day of the last drift that there was, for good: what was measured before may be of another place."""

    def after(self, found: Iterable[Day]) -> Drift:
        """Return it after more days; the last of them may go on."""
        state = self
        for day in found:
            filling = state.filling
            if filling is not None and day.number == filling.number:
                day = Day(day.number, day.error + filling.error, day.windows + filling.windows)
            elif filling is not None:
                state = state._over(filling)
            state = replace(state, filling=day)
        return state

    def _over(self, day: Day) -> Drift:
        x = math.log(max(day.error / day.windows, _TINY))
        days = self.days + 1
        off = x - self.mean if self.days else 0.0
        mean = self.mean + off / min(days, PAST) if self.days else x
        total = self.total + min(off, LARGEST) - TOLERANCE if days > LEAST else 0.0
        since = self.since if self.since is not None and day.number - self.found_on < SHOWN else None
        if days <= LEAST or total < self.least:
            return replace(self, days=days, mean=mean, total=total, least=total, least_on=day.number, since=since)
        if total - self.least > THRESHOLD:
            return Drift(since=self.least_on + 1, found_on=day.number, changed=self.least_on + 1)
        return replace(self, days=days, mean=mean, total=total, since=since)

    def to_json(self) -> list[Any]:
        """Return it as JSON has it."""
        return [
            self.filling and list(self.filling), self.days, self.mean, self.total, self.least, self.least_on, self.since, self.found_on,
            self.changed,
        ]  # fmt: skip

    @classmethod
    def from_json(cls, value: Any) -> Drift:
        """Read what :meth:`to_json` gave.

        Raises
        ------
        ValueError, TypeError
            If it is something else.
        """
        filling, days, mean, total, least, least_on, since, found_on, changed = value
        whole = None if filling is None else Day(int(filling[0]), float(filling[1]), float(filling[2]))
        since, changed = (None if day is None else int(day) for day in (since, changed))
        return cls(whole, int(days), float(mean), float(total), float(least), int(least_on), since, int(found_on), changed)
