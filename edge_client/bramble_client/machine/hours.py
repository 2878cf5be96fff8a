"""Hours of the day as people write them, ``01:00-05:00,22:00-02:00``, by the clock on the wall."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import cached_property

_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_WANTED = "expected hours such as 01:00-05:00, several with commas between them; leave it out for any hour"
_DAY = 24 * 60
_AHEAD = 3 * _DAY
"""Minutes that are looked ahead: a change of the clocks may leave an hour of one day out."""


@dataclass(frozen=True)
class Hours:
    """Spans of a day, each from a minute to a minute that is no longer in it; one that ends before it begins goes over midnight."""

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read hours.

        Raises
        ------
        ValueError
            With what is wrong, and what to write.
        """
        return cls(tuple(_span(part.strip()) for part in text.split(",")))

    def has(self, t: float) -> bool:
        """Whether a time, seconds since 1970 UTC, is in them by this machine's time zone."""
        local = time.localtime(t)
        return self._has(60 * local.tm_hour + local.tm_min)

    def _has(self, minute: int) -> bool:
        return any(first <= minute < end if first < end else minute >= first or minute < end for first, end in self.spans)

    def next(self, t: float) -> float | None:
        """Return when they begin after a time that is not in them; minute by minute, as the wall's clock may jump."""
        return self._change(t, True)

    def until(self, t: float) -> float | None:
        """Return when they end after a time that is in them; None where they go on for days."""
        return None if self._whole else self._change(t, False)

    @cached_property
    def _whole(self) -> bool:
        """Whether they are the whole day, of which no end need be looked for."""
        return all(map(self._has, range(_DAY)))

    def _change(self, t: float, begin: bool) -> float | None:
        minute = t // 60 * 60
        return next((later for n in range(1, _AHEAD) if self.has(later := minute + 60 * n) is begin), None)


def _span(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} are no hours: {_WANTED}")
    first, end = _minute(match[1], match[2]), _minute(match[3], match[4])
    if first == end:
        raise ValueError(f"{text} begins when it ends: for the whole day leave it out, else say when it ends")
    return first % _DAY, end


def _minute(hour: str, minute: str) -> int:
    found = 60 * int(hour) + int(minute)
    if int(minute) > 59 or found > _DAY:
        raise ValueError(f"{hour}:{minute} is no time of a day: they go from 00:00 to 24:00")
    return found
