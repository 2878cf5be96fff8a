"""What is in an export: its cells as they stand, what kind it is, and rows of time where it has one reading a line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bramble.data.formats import FORMATS, PLAIN, Format, base
from bramble.data.zones import zone_of
from bramble_protocol.errors import BrambleError

if TYPE_CHECKING:
    from pandas import DataFrame

ABOVE = 10
"""Lines that may stand above the names of the columns."""
SEPARATORS = (";", "\t", "|", ",")
OFF = ("unavailable", "unknown", "none", "")
"""What Home Assistant writes where a sensor says nothing."""


@dataclass(frozen=True)
class Table:
    """A file's cells as they stand, and what kind of export it is."""

    kind: Format
    frame: DataFrame
    above: int = 0
    """Lines above the names of its columns."""


def read(path: Path) -> Table:
    """Read a file's cells as texts, and tell what kind of export it is.

    Raises
    ------
    BrambleError
        If it cannot be read, or is no table.
    """
    import pandas as pd

    text = _text(path)
    lines = text.splitlines()
    if not lines:
        raise BrambleError(f"data import: {path} is empty")
    kind, above, separator = _recognised(lines[:ABOVE])
    try:
        rows = list(csv.reader(lines[above:], delimiter=separator))
    except csv.Error as error:
        raise BrambleError(f"data import: {path} is no CSV ({error}); export it as CSV") from None
    names = [name.strip() for name in rows[0]]
    rows = [row[: len(names)] if not any(row[len(names) :]) else row for row in rows]  # a separator at the end of each line
    bad = next((index for index, row in enumerate(rows) if row and len(row) != len(names)), None)
    if len(names) < 2:
        raise BrambleError(f"data import: {path} is no table: it has one column; export it as CSV with commas, semicolons or tabs")
    if bad is not None:
        where = f"line {above + 1 + bad} has {len(rows[bad])} columns, and the names {len(names)}"
        raise BrambleError(f"data import: {path} is no table: {where}; export it as CSV with one separator")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BrambleError(f"data import: {path} has two columns called {twice!r}; rename one")
    frame = pd.DataFrame([[cell.strip() for cell in row] for row in rows[1:] if any(row)], columns=names, dtype=str)
    return Table(kind, kind.prepare(frame) if kind.prepare else frame, above)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BrambleError(f"data import: cannot read {path} ({error.strerror})") from None
    if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0") or b"\0" in data[:1000].replace(b"\xff\xfe", b""):
        raise BrambleError(f"data import: {path} is no text; unpack an archive, and save a workbook as CSV (UTF-8)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _recognised(lines: Sequence[str]) -> tuple[Format, int, str]:
    for above, line in enumerate(lines):
        for separator in SEPARATORS:
            names = {name.strip().strip('"') for name in line.split(separator)}
            names |= {base(name) for name in names}
            for kind in FORMATS:
                if names.issuperset(kind.needs):
                    return kind, above, separator
    counts: dict[str, int] = {separator: lines[0].count(separator) for separator in SEPARATORS}
    return PLAIN, 0, max(counts, key=lambda separator: (counts[separator] > 0, -SEPARATORS.index(separator)))


def _times(cells: Any, sensor: str, zone: str | None) -> Any:
    """Return times of an export with one reading a line: seconds since 1970, ISO 8601, or days first with dots."""
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.notna().all():
        return pd.DatetimeIndex(pd.to_datetime(numbers, unit="s", utc=True))
    try:
        if cells.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$").all():
            return pd.DatetimeIndex(pd.to_datetime(cells, utc=True, format="ISO8601"))
        dotted = cells.str.contains(r"^\d{1,2}\.\d{1,2}\.").all()
        found = pd.DatetimeIndex(pd.to_datetime(cells, format="mixed" if dotted else "ISO8601", dayfirst=dotted))
        if zone is None:
            raise BrambleError(
                f"data import: {cells.iloc[0]} of {sensor} is local time; say whose with --zone, such as --zone Europe/Berlin"
            )
        return found.tz_localize(zone_of(zone), ambiguous="infer").tz_convert("UTC")
    except (ValueError, KeyError) as error:
        raise BrambleError(
            f"data import: a time of {sensor} cannot be read ({error}); write it with its offset, or name another --zone"
        ) from None


def wide(table: Table, wanted: Mapping[str, str], every_s: float, zone: str | None) -> Any:
    """Return a frame with a row a bin of time of an export with one reading a line; an empty cell is a missing reading.

    Parameters
    ----------
    wanted
        What each sensor is called in a recording.
    every_s
        Seconds of a bin. Of a form that has changes alone a value stays until the next one, of any other a bin has the mean of its lines.
    zone
        Whose clock times without an offset are of.

    Raises
    ------
    BrambleError
        If a time or a value is none.
    """
    import pandas as pd

    assert table.kind.long
    sensor, value = table.kind.long
    frame, every = table.frame, pd.Timedelta(seconds=every_s)
    columns = {}
    for name, channel in wanted.items():
        mine = frame[frame[sensor] == name]
        at = _times(mine[table.kind.time], name, zone)
        off = mine[value].str.casefold().isin(OFF)
        plain = mine[value].str.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True)
        numbers = pd.to_numeric(plain.where(~off), errors="coerce")
        strange = mine[value][numbers.isna() & ~off]
        if len(strange):
            raise BrambleError(f"data import: {name} says {strange.iloc[0]!r}, which is no number; map a sensor that measures")
        series = pd.Series(numbers.to_numpy(), index=pd.DatetimeIndex(at)).sort_index()
        series = series[~series.index.duplicated(keep="last")]
        if table.kind.held:
            grid = pd.date_range(series.index[0].ceil(every), series.index[-1].floor(every), freq=every)
            place = series.index.searchsorted(grid, side="right") - 1
            columns[channel] = pd.Series(series.to_numpy()[place], index=grid)
        else:
            columns[channel] = series.resample(every).mean()
    found = pd.DataFrame(columns)
    found.insert(0, "time", found.index.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return found
