"""A channel's cells, in its unit: numbers as people and spreadsheets write them, and what stands for a missing one."""

from __future__ import annotations

import re
from collections import Counter
from math import isfinite, nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bramble_client.hal.channels import quantity
from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim.recordings.header import Column, probable_unit
from bramble_client.hal.sim.recordings.text import Block

MISSING = frozenset(
    "|na|n/a|nan|null|none|nil|-|--|---|?|*|.|m|unavailable|unknown|missing|nodata|no data|error|err"
    "|#n/a|#na|#value!|#wert!|#div/0!|#num!|#ref!".split("|")
)
"""What people and programs write where there is no reading, in small letters."""
SENTINELS = re.compile(
    r"[+-]?(?:9{2,}(?:\.9+)?|8888|7777|6999|127|32768|32767|65535|99990|1e\+?(?:20|30|35|37))(?:\.0*)?|9\.969\d*e\+?36", re.IGNORECASE
)
"""Numbers that loggers write instead of a reading; they count as missing only where the channel cannot have them."""
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:(?P<mark>[.,'’\u00a0\u202f ])\d{3})+(?:[.,]\d+)?")


class Values:
    """Reads one channel's column from top to bottom.

    Parameters
    ----------
    path
        Of the file, for sentences.
    column
        Which one.
    commas
        Whether a comma cannot be what separates the cells, and so may be a decimal one.
    """

    def __init__(self, path: Path, column: Column, commas: bool) -> None:
        self._path, self._column, self._commas = path, column, commas
        self._quantity = quantity(column.key)
        self._mark: str | None = None
        self.missing: Counter[str] = Counter()
        """How many readings are missing, by what stands in their cells."""

    def read(self, block: Block) -> NDArray[np.float64]:
        """Return the values of the next rows; NaN where one is missing.

        Raises
        ------
        RecordingError
            If a cell holds no number, or one that the channel cannot have; the text names line and column.
        """
        lines, cells = block.lines, block.columns[self._column.index]
        numbers = cells.numbers()
        if numbers is not None and self._mark is None and cells.hold("."):
            self._mark = "."
        if numbers is None or self._mark == ",":
            numbers = np.array([self._number(line, cell.strip()) for line, cell in zip(lines, cells, strict=True)])
        values = numbers * self._column.factor + self._column.offset
        low, high = self._quantity.widest
        slack = 1e-9 * (high - low)
        odd = ~((values >= low - slack) & (values <= high + slack))
        for i in np.flatnonzero(odd).tolist():
            self._miss(lines[i], cells[i].strip(), float(numbers[i]), float(values[i]))
        values[odd] = nan
        return values

    def _miss(self, line: int, cell: str, number: float, value: float) -> None:
        """Count a reading as missing; if it is neither that nor what the channel can have, refuse it."""
        if not (cell.casefold() in MISSING or SENTINELS.fullmatch(cell.replace(",", "."))):
            (low, high), unit = self._quantity.widest, self._quantity.unit
            if not isfinite(number):
                raise self._wrong(line, f"{cell!r} is not a number")
            other = probable_unit(self._column.key, number) if (self._column.factor, self._column.offset) == (1.0, 0.0) else None
            remedy = (
                f"it is probably in {other}: name the unit in the first line, as {self._column.key} ({other})"
                if other
                else "correct it, or leave the cell empty"
            )
            meant = "" if value == number else f" ({value:.6g} {unit})"
            raise self._wrong(line, f"{cell}{meant} is no {self._column.key}, which lies between {low:g} and {high:g} {unit}; {remedy}")
        self.missing[cell or "an empty cell"] += 1

    def _number(self, line: int, cell: str) -> float:
        if cell.casefold() in MISSING:
            return nan
        plain = self._decimal(line, cell)
        try:
            return float(plain)
        except ValueError:
            unit = re.fullmatch(r"([+-]?[\d.,]+)\s*(\D{1,8})", cell)
            remedy = f"; write {unit[1]} alone, and the unit in the first line" if unit else ""
            raise self._wrong(line, f"{cell!r} is not a number{remedy}") from None

    def _decimal(self, line: int, cell: str) -> str:
        """Return a number with a decimal point and without marks between its thousands."""
        marks = [mark for mark in ".," if mark in cell]
        grouped = _THOUSANDS.fullmatch(cell)
        if grouped and (len(marks) == 2 or cell.count(grouped["mark"]) > 1 or grouped["mark"] not in (*".,", self._mark)):
            between = True
        else:
            # one mark before three digits: what it is shows in the lines above, or in what separates the cells
            between = bool(grouped) and self._mark not in (None, *marks)
            if grouped and marks == [","] and self._mark is None and not self._commas:
                raise self._wrong(line, f"{cell!r} may be 1000 times as much; write it with a decimal point, or without the comma")
        if grouped and between:
            cell = cell.replace(grouped["mark"], "")
            marks = [mark for mark in ".," if mark in cell]
        if len(marks) == 1:
            if self._mark not in (None, *marks):
                raise self._wrong(line, f"{cell!r} has another decimal mark than the lines above; write all of them with a point")
            self._mark = marks[0]
        return cell.replace(",", ".")

    def _wrong(self, line: int, what: str) -> RecordingError:
        return RecordingError(f"{self._path}, line {line}, column '{self._column.label}': {what}")
