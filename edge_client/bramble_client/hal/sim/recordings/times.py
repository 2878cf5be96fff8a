"""What people write for a moment, as seconds since 1970: one reading of each form, or a sentence that names the form to write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim.recordings.cells import Cells
from bramble_client.hal.sim.recordings.header import COUNTS, TimeColumn
from bramble_client.hal.sim.recordings.text import Block

FIRST, LAST = 631_152_000.0, 4_102_444_800.0
"""1990 and 2100: nobody recorded a sensor outside."""
_FORM = "write it as 2023-01-01T00:00:00Z or as seconds since 1970-01-01 UTC"
_COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""ISO 8601's basic form without its T, by the number of digits."""
_DATED = re.compile(
    r"(?P<one>\d{1,4})(?P<mark>[-./])(?P<two>\d{1,2})(?P=mark)(?P<three>\d{1,4})\.?"
    r"(?:[T ,;_]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?",
    re.IGNORECASE,
)
_NAMED = ("%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%b %d, %Y %H:%M:%S", "%b %d, %Y %H:%M", "%d %b %Y", "%a, %d %b %Y %H:%M:%S")
_ISO = b"0000-00-00T00:00:00"
"""Digits stand for digits; a space may stand for the T."""
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


class Ambiguous(Exception):
    """Whether the day or the month stands first shows only further down."""


class Times:
    """Reads the column of times from top to bottom.

    Parameters
    ----------
    path
        Of the file, for sentences.
    column
        Where the times are, and what their name says of them.
    day_first
        Whether 03/04/2023 is in April; None where no row needed to know it.
    """

    def __init__(self, path: Path, column: TimeColumn, day_first: bool | None = None) -> None:
        self._path, self._column, self._day_first = path, column, day_first
        self._digits: bool | None = None
        self._last = -np.inf

    def read(self, block: Block) -> NDArray[np.float64]:
        """Return the times of the next rows, which must go on increasing.

        Raises
        ------
        RecordingError
            If one is no time, or lies before the one above; the text names the line.
        Ambiguous
            If the order of day and month must be known, see :func:`day_first`.
        """
        lines, cells = block.lines, self._cells(block)
        times = self._at_once(cells)
        if times is None:
            return np.array([self._next(line, cell.strip()) for line, cell in zip(lines, cells, strict=True)])
        steps = np.diff(times, prepend=self._last)
        if (steps <= 0).any():
            bad = int(np.argmax(steps <= 0))
            self._last = times[bad] - steps[bad]
            raise self._unordered(lines[bad], cells[bad].strip(), times[bad])
        self._last = times[-1]
        return times

    def _cells(self, block: Block) -> Cells:
        first, *rest = (block.columns[index] for index in self._column.indices)
        return Cells.of([f"{date.strip()} {clock.strip()}" for date, clock in zip(first, rest[0], strict=True)]) if rest else first

    def _at_once(self, cells: Cells) -> NDArray[np.float64] | None:
        """Return the times of a block that is all of one common form, or None."""
        zone = self._column.zone or UTC
        if isinstance(zone, timezone) and (found := _iso(cells, zone)) is not None:
            return found
        if self._digits is not False:
            return None
        numbers = cells.numbers()
        if numbers is None:
            return None
        times = numbers * (self._column.seconds or 1.0)
        return times if ((times >= FIRST) & (times < LAST)).all() else None

    def _next(self, line: int, cell: str) -> float:
        t = self._moment(line, cell, 0)
        if t <= self._last and self._column.zone is not None and not isinstance(self._column.zone, timezone):
            t = self._moment(line, cell, 1)  # an hour that the zone has twice: the second one
        if t <= self._last:
            raise self._unordered(line, cell, t)
        self._last = t
        return t

    def _moment(self, line: int, cell: str, fold: int) -> float:
        try:
            number = float(re.sub(r"^(\d+),(\d+)$", r"\1.\2", cell))
        except ValueError:
            pass
        else:
            return self._number(line, cell, number)
        moment = self._dated(line, cell) or _parsed(cell)
        if moment is None:
            raise self._wrong(line, f"{cell!r} is not a time; {_FORM}" if cell else f"a time is missing; {_FORM}")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._column.zone or UTC, fold=fold)
        t = moment.timestamp()
        if not FIRST <= t < LAST:
            raise self._wrong(line, f"{cell} lies outside the years 1990 to 2100; correct the year")
        return t

    def _number(self, line: int, cell: str, number: float) -> float:
        if self._column.seconds is None and self._digits is not False:
            compact = _compact(cell, self._column.zone or UTC)
            if self._digits and compact is None:
                raise self._wrong(line, f"{cell!r} is not a time written as {_COMPACT.get(len(cell), '%Y%m%d%H')[1:].replace('%', '')}")
            self._digits = compact is not None
            if compact is not None:
                return compact
        t = number * (self._column.seconds or 1.0)
        if not isfinite(t):
            raise self._wrong(line, f"{cell!r} is not a time")
        if not FIRST <= t < LAST:
            raise self._wrong(line, f"{cell} {_probably(number)}")
        return t

    def _dated(self, line: int, cell: str) -> datetime | None:
        match = _DATED.fullmatch(cell)
        if match is None:
            return None
        one, two, three = (int(match[name]) for name in ("one", "two", "three"))
        if len(match["one"]) == 4:
            year, month, day = one, two, three
        elif len(match["three"]) != 4:
            raise self._wrong(line, f"{cell!r} has a year of {len(match['three'])} digits; {_FORM}")
        else:
            if match["mark"] != "." and self._day_first is None:
                raise Ambiguous
            year = three
            day, month = (one, two) if match["mark"] == "." or self._day_first else (two, one)
        hour = int(match["hour"] or 0)
        if match["half"]:
            if not 1 <= hour <= 12:
                raise self._wrong(line, f"{cell!r} has an hour that no clock of twelve hours shows; {_FORM}")
            hour = hour % 12 + (12 if match["half"][0] in "Pp" else 0)
        microsecond = int((match["fraction"] or "0")[:6].ljust(6, "0"))
        try:
            return datetime(year, month, day, hour, int(match["minute"] or 0), int(match["second"] or 0), microsecond, _zone(match["zone"]))
        except ValueError as cause:
            raise self._wrong(line, f"{cell!r} is not a time ({cause}); {_FORM}") from None

    def _unordered(self, line: int, cell: str, t: float) -> RecordingError:
        what = "repeats" if t == self._last else "lies before"
        moment = datetime.fromtimestamp(t, UTC)
        naive = self._column.zone is None and re.search(r":\d\d(?:[.,]\d+)?\s*([AaPp]\.?[Mm]\.?)?$", cell)
        if naive and self._last - t <= 3600 and moment.hour <= 3 and moment.weekday() == 6 and moment.month in (3, 4, 9, 10, 11):
            return self._wrong(
                line,
                f"{cell} {what} the time of the line above: this is the hour that comes twice where daylight saving ends; give each time"
                " its offset (2023-10-29T02:00:00+02:00), or name the zone in the first line, as time (Europe/Berlin)",
            )
        return self._wrong(line, f"{cell} {what} the time of the line above; sort the file by time, and keep one line for each")

    def _wrong(self, line: int, what: str) -> RecordingError:
        return RecordingError(f"{self._path}, line {line}, column '{self._column.label}': {what}")


def day_first(path: Path, column: TimeColumn, blocks: Iterable[Block]) -> bool:
    """Find out from all of a file whether the day or the month stands first in its dates.

    Raises
    ------
    RecordingError
        If no date shows it, or one shows the one and another the other.
    """
    seen: dict[bool, str] = {}
    where, example = 0, ""
    for lines, columns in blocks:
        for line, cell in zip(lines, columns[column.indices[0]], strict=True):
            match = _DATED.match(cell.strip())
            if match and len(match["one"]) < 4 and match["mark"] != ".":
                where, example = where or line, example or cell
                if (int(match["one"]) > 12) != (int(match["two"]) > 12):
                    seen.setdefault(int(match["one"]) > 12, cell)
    place = f"{path}, line {where}, column '{column.label}'"
    if len(seen) == 2:
        raise RecordingError(f"{place}: the day stands first in {seen[True]} and the month in {seen[False]}; {_FORM}")
    if not seen:
        raise RecordingError(f"{place}: in {example} either the day or the month stands first, and no line shows which; {_FORM}")
    return next(iter(seen))


def _iso(cells: Cells, zone: timezone) -> NDArray[np.float64] | None:
    """Read cells that are all YYYY-MM-DDThh:mm:ss, with one and the same ending; None if they are not."""
    table = cells.table()
    if table is None or table.shape[1] < len(_ISO):
        return None
    form = np.frombuffer(_ISO, np.uint8)
    digit = form == ord("0")
    body, ending = table[:, : len(_ISO)], table[:, len(_ISO) :]
    marks = body[:, ~digit]
    marks_fit = (marks == form[~digit]) | ((marks == ord(" ")) & (form[~digit] == ord("T")))
    figures = body[:, digit].astype(np.int32) - ord("0")
    fraction, ending = _fraction(ending)
    if not marks_fit.all() or figures.min() < 0 or figures.max() > 9 or (ending != ending[0]).any():
        return None
    try:
        own = _zone(ending[0].tobytes().decode().strip() or None)
    except ValueError:
        return None
    year = figures[:, :4] @ np.array([1000, 100, 10, 1])
    month, day, hour, minute, second = (figures[:, i] * 10 + figures[:, i + 1] for i in (4, 6, 8, 10, 12))
    if month.min() < 1 or month.max() > 12 or hour.max() > 23 or minute.max() > 59 or second.max() > 59:
        return None
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    if day.min() < 1 or (day > _DAYS[month] + leap).any() or year.min() < 1990 or year.max() > 2099:
        return None
    days = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    seconds: NDArray[np.int64] = (days.astype("datetime64[D]").astype(np.int64) + day - 1) * 86_400 + hour * 3600 + minute * 60 + second
    offset = (own or zone).utcoffset(None)
    return np.asarray(seconds + fraction - offset.total_seconds(), np.float64)


def _fraction(ending: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Read the digits behind the seconds, as many in every row; return their value, and what stands behind them."""
    if not ending.shape[1] or (ending[:, 0] != ord(".")).any():
        return np.zeros(len(ending)), ending
    digits = ending[:, 1:] - np.uint8(ord("0"))  # what is no digit wraps to something greater than 9
    count = int(np.logical_and.accumulate((digits <= 9).all(axis=0)).sum())
    return digits[:, :count] @ 10.0 ** -np.arange(1, count + 1), ending[:, 1 + count :]


def _parsed(cell: str) -> datetime | None:
    """Read the rest of ISO 8601, and dates with a month's name."""
    try:
        return datetime.fromisoformat(cell.upper())
    except ValueError:
        pass
    bare = re.sub(r"\s*(?:UTC|GMT|Z)$", "", cell)
    for form in _NAMED:
        try:
            moment = datetime.strptime(bare.replace("-", " "), form)
        except ValueError:
            continue
        return moment if bare == cell else moment.replace(tzinfo=UTC)
    return None


def _zone(text: str | None) -> timezone | None:
    """Read ``Z``, ``UTC`` or an offset.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if text is None:
        return None
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)?", text)
    if match is None:
        raise ValueError(f"{text!r} is no offset")
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))


def _compact(cell: str, zone: tzinfo) -> float | None:
    form = _COMPACT.get(len(cell)) if cell.isdigit() else None
    if form is None:
        return None
    try:
        t = datetime.strptime(cell, form).replace(tzinfo=zone).timestamp()
    except ValueError:
        return None
    return t if FIRST <= t < LAST else None


def _probably(number: float) -> str:
    """Say what a number that is no count of seconds probably is."""
    for unit, seconds in (("milliseconds", COUNTS["ms"]), ("microseconds", COUNTS["us"]), ("nanoseconds", COUNTS["ns"])):
        if FIRST <= number * seconds < LAST:
            short = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}[unit]
            return (
                f"lies outside the years 1990 to 2100 as seconds since 1970, it is probably in {unit}: name the unit in the first line,"
                f" as time ({short})"
            )
    if FIRST <= (number - 25_569) * 86_400 < LAST:
        return "is probably a spreadsheet's count of days: format the column as 2023-01-01 00:00:00 there and export it again"
    if FIRST <= (number - 2_440_587.5) * 86_400 < LAST:
        return f"is probably a Julian day; {_FORM}"
    return f"lies outside the years 1990 to 2100 as seconds since 1970; {_FORM}"
