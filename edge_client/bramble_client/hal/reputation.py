"""How far a sensor is believed, by what it said before: air has inertia, and a loose wire has none.

A range alone passes nonsense that lies inside it. So every sensor of air has a record, kept for each channel in a few numbers:

* **Leaps.** A change faster than air's is believed when three readings in a row agree on the new level (somebody carried the sensor out
  of the house); a spike never is. Several leaps within a day are no moves: the sensor is erratic.
* **There and back.** The mean of how far a channel goes and returns from one reading to the next. Weather turns a few times a day, and by
  little; noise turns at every other reading, by a third of its width.
* **Standing still.** No air keeps its temperature, humidity and pressure for two days.

What is measured of light, motion or a supply may jump at any time, and has no record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isnan


@dataclass(frozen=True, slots=True)
class Air:
    """How air behaves in one channel, in its unit.

    Parameters
    ----------
    at_once, in_an_hour
        How far it may move.
    turning
        How far it may go there and back from one reading to the next, on average.
    still
        The span within which it does not stay for days.
    """

    at_once: float
    in_an_hour: float
    turning: float
    still: float


AIR = {
    "temperature": Air(16, 16, 2, 0.25),
    "humidity": Air(100, 100, 10, 1),  # breath, and a bathroom's door, move it from one end to the other
    "pressure": Air(15, 20, 1.5, 0.5),
    "carbon_dioxide": Air(10_000, 20_000, 1000, 80),
}
"""By channel: no hour of a year at seven stations moves further, and none turns half as much. What is not here may jump at any time."""
NEAR_S = 4500.0
"""Seconds between two readings after which nothing is held against the second: air may have done anything since."""
AGREEING = 3
"""Readings in a row that make a new level out of a leap."""
MEMORY = 24
"""Readings over which going there and back is averaged."""
MOST = 6.0
"""What one reading may add to that, in units of what is tolerated: a single spike, however large, is no habit."""
DAY = 86_400.0
LEAPS = 4.0
"""Leaps that a sensor may make in a day, without being erratic: doors are opened, sensors are carried about."""
PARDON = 240
"""Readings over which leaps are forgotten, if that is sooner than a day."""
STILL_S = 2 * DAY
"""For how long no air stands still, pressure included."""
STILL_WITHOUT_PRESSURE_S = 7 * DAY
"""The same where the pressure is not measured, which alone moves in a cellar, too."""

ERRATIC = "it jumps as no air can; check its wires, or replace it"
LEAPED = "it jumped as no air can, and has not stayed there yet"
STUCK = "it has stood still for days, as no air does; take its power away for a moment, or replace it"


class Reputation:
    """The record of one sensor.

    Parameters
    ----------
    channels
        The driver's.
    restless
        Whether a healthy chip shows its noise, so that standing still means something.
    """

    def __init__(self, channels: tuple[str, ...], restless: bool) -> None:
        self._records = {key: _Record(AIR[kind]) for key in channels if (kind := key.rpartition(".")[2]) in AIR}
        self._stands = restless and bool(self._records) and len(self._records) == len(channels)
        self._patience = STILL_S if "pressure" in channels else STILL_WITHOUT_PRESSURE_S
        self._leaps = 0.0
        self._away = False
        """Whether a channel is at a level that is not believed yet."""
        self._erratic = False
        self._last: float | None = None

    def doubt(self, at: float, values: Mapping[str, float]) -> str | None:
        """Take the next measurement, and return why the sensor is not believed at it, or None.

        Parameters
        ----------
        at
            When it was made, monotonic seconds.
        values
            By channel; what is no number is left out of account.
        """
        seconds = 0.0 if self._last is None else at - self._last
        self._last = at
        self._leaps *= exp(-max(seconds, 0.0) / DAY - 1 / PARDON)
        records = [(self._records[key], value) for key, value in values.items() if key in self._records and not isnan(value)]
        states = [record.take(at, value) for record, value in records]
        if "leap" in states and not self._away:  # what goes on leaping has left once
            self._leaps = min(self._leaps + 1, 1.5 * LEAPS)
        self._away = any(state != "good" for state in states)
        worst = max((record.turning for record in self._records.values()), default=0.0)
        # Once erratic, it has to calm down well below what made it so
        self._erratic = (worst > 0.5 or self._leaps > LEAPS / 2) if self._erratic else (worst > 1.0 or self._leaps > LEAPS)
        if self._erratic:
            return ERRATIC
        if self._away:
            return LEAPED
        if self._stands and all(record.stood(at) >= self._patience for record in self._records.values()):
            return STUCK
        return None


class _Record:
    """What is remembered of one channel."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self.turning = 0.0
        """Mean of how far it goes there and back, as a multiple of what is tolerated."""
        self._still_since, self._still = 0.0, 0
        self._span: tuple[float, float] | None = None
        self._level: tuple[float, float] | None = None
        self._candidate: tuple[float, float] | None = None
        self._agreeing = 0
        self._last: tuple[float, float] | None = None
        self._change = 0.0

    def stood(self, at: float) -> float:
        """Return for how many seconds it has stood still, as far as enough readings tell."""
        return at - self._still_since if self._still > MEMORY else 0.0

    def take(self, at: float, value: float) -> str:
        """Return ``good``, ``leap`` for a level that is new and too far away, or ``waiting`` while one is not confirmed."""
        self._stand(at, value)
        self._turn(at, value)
        if self._level is None or self._reaches(self._level, at, value):
            self._level, self._candidate = (value, at), None
            return "good"
        if self._candidate is not None and self._reaches(self._candidate, at, value):
            self._candidate, self._agreeing = (value, at), self._agreeing + 1
            if self._agreeing < AGREEING:
                return "waiting"
            self._level, self._candidate = (value, at), None
            return "good"
        self._candidate, self._agreeing = (value, at), 1
        return "leap"

    def _reaches(self, level: tuple[float, float], at: float, value: float) -> bool:
        seconds, air = at - level[1], self._air
        most = air.at_once + (air.in_an_hour - air.at_once) * min(seconds, 3600.0) / 3600
        return seconds > NEAR_S or abs(value - level[0]) <= most

    def _turn(self, at: float, value: float) -> None:
        last, self._last = self._last, (value, at)
        if last is None or at - last[1] > NEAR_S:
            self._change = 0.0
            return
        change = value - last[0]
        back = min(abs(change), abs(self._change)) if change * self._change < 0 else 0.0
        self._change = change
        self.turning += (min(back / self._air.turning, MOST) - self.turning) / MEMORY

    def _stand(self, at: float, value: float) -> None:
        low, high = (value, value) if self._span is None else (min(self._span[0], value), max(self._span[1], value))
        if self._span is None or high - low > self._air.still:
            low = high = value
            self._still_since, self._still = at, 0
        self._span, self._still = (low, high), self._still + 1
