"""Exports that people have: how each is told by its columns, and what these are called in a recording."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bramble_protocol.errors import BrambleError

if TYPE_CHECKING:
    from pandas import DataFrame

ABOVE = 10
"""Lines that may stand above the names of the columns."""
SEPARATORS = (";", "\t", "|", ",")
OFF = ("unavailable", "unknown", "none", "")
"""What Home Assistant writes where a sensor says nothing."""


@dataclass(frozen=True)
class Format:
    """One kind of export."""

    name: str
    needs: tuple[str, ...]
    """Columns that give it away, all of them."""
    time: str = "time"
    zone: str | None = None
    """Whose clock its times are of; None where the file cannot say it and the person must."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """What its columns are called in a recording, with their unit."""
    long: tuple[str, str] | None = None
    """Of a form with one reading a line: the columns of the sensor and of its value."""
    held: bool = False
    """Whether a value stays until the next line of its sensor: only changes are in it."""
    prepare: Callable[[DataFrame], DataFrame] | None = None
    """What has to be done to its cells first."""


def _weewx(frame: DataFrame) -> DataFrame:
    """Name the units that WeeWX stores as a number: 1 US, 16 metric, 17 metric with m/s."""
    systems = set(frame["usUnits"].str.strip().str.removesuffix(".0")) - {""}
    if len(systems) != 1 or not systems <= {"1", "16", "17"}:
        raise BrambleError(f"data import: usUnits says {', '.join(sorted(systems)) or 'nothing'}; export rows of one system: 1, 16 or 17")
    us = systems == {"1"}
    names = {"Temp": "°F" if us else "°C", "barometer": "inHg" if us else "hPa", "pressure": "inHg" if us else "hPa"}
    return frame.rename(columns={name: f"{name} ({names[key]})" for name in frame for key in names if name.endswith(key)})


def _isd(frame: DataFrame) -> DataFrame:
    """Take NOAA's integrated surface data apart: tenths with a sign, then a quality, such as +0050,1."""
    for name in ("TMP", "SLP"):
        if name in frame:
            tenths = frame[name].str.partition(",")[0]
            frame[name] = [
                "" if not cell or cell.lstrip("+-") in ("9999", "99999") else str(int(cell) / 10) if cell.lstrip("+-").isdigit() else cell
                for cell in tenths
            ]
    return frame


_T, _H, _P, _C = "temperature (°C)", "humidity (%)", "pressure (hPa)", "carbon_dioxide (ppm)"
FORMATS = (
    Format(
        "history of Home Assistant", ("entity_id", "state", "last_changed"), "last_changed", "UTC", long=("entity_id", "state"), held=True,
    ),
    Format("statistics of Home Assistant", ("statistic_id", "start", "mean"), "start", "UTC", long=("statistic_id", "mean")),
    Format(
        "archive of WeeWX", ("dateTime", "usUnits"), "dateTime", "UTC",
        {"outTemp (°F)": "temperature (°F)", "outTemp (°C)": _T, "outHumidity": _H,
         "pressure (inHg)": "pressure (inHg)", "pressure (hPa)": _P},
        prepare=_weewx,
    ),
    Format(
        "export of Netatmo", ("Timestamp", "Temperature", "Humidity"), "Timestamp", "UTC",
        {"Temperature": _T, "Humidity": _H, "CO2": _C, "Pressure": _P},
    ),
    Format(
        "hourly values of DWD", ("STATIONS_ID", "MESS_DATUM"), "MESS_DATUM", "UTC",
        {"TT_TU": _T, "RF_TU": _H, "P0": _P, "TT_10": _T, "RF_10": _H, "PP_10": _P},
    ),
    Format("integrated surface data of NOAA", ("STATION", "DATE", "TMP"), "DATE", "UTC", {"TMP": _T, "SLP": _P}, prepare=_isd),
    Format(
        "export of Ecowitt", ("Time", "Outdoor Temperature"), "Time", None,
        {"Outdoor Temperature": "temperature", "Outdoor Humidity": "humidity", "Absolute Pressure": "pressure", "ABS Pressure": "pressure"},
    ),
    Format(
        "export of Davis WeatherLink", ("Date & Time", "Temp"), "Date & Time", None,
        {"Temp": "temperature", "Hum": "humidity", "Barometer": "pressure"},
    ),
)  # fmt: skip
PLAIN = Format("plain table", ())


@dataclass(frozen=True)
class Table:
    """A file's cells as they stand, and what kind of export it is."""

    kind: Format
    frame: DataFrame


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
    bad = next((index for index, row in enumerate(rows) if row and len(row) != len(names)), None)
    if len(names) < 2 or bad is not None:
        where = f"line {above + 1 + (bad or 0)} has {len(rows[bad or 0])} columns, and the names {len(names)}"
        raise BrambleError(f"data import: {path} is no table: {where}; export it as CSV with one separator")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BrambleError(f"data import: {path} has two columns called {twice!r}; rename one")
    frame = pd.DataFrame([[cell.strip() for cell in row] for row in rows[1:] if any(row)], columns=names, dtype=str)
    return Table(kind, kind.prepare(frame) if kind.prepare else frame)


def base(name: str) -> str:
    """Return a column's name without its unit: ``Outdoor Temperature(℃)`` is ``Outdoor Temperature``."""
    return name.partition("(")[0].partition(" - ")[0].strip()


def unit(name: str) -> str:
    """Return the unit in a column's name as a recording writes it, empty without one."""
    found = name.partition("(")[2].partition(")")[0] or name.partition(" - ")[2]
    return found.strip().replace("℃", "°C").replace("℉", "°F").replace("in Hg", "inHg")


def called(kind: Format, name: str) -> str | None:
    """Return what a column is called in a recording, None where the format does not say it."""
    if name in kind.channels:
        return kind.channels[name]
    channel = kind.channels.get(base(name))
    return channel if channel is None or "(" in channel or not unit(name) else f"{channel} ({unit(name)})"


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BrambleError(f"data import: cannot read {path} ({error.strerror})") from None
    if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0") or b"\0" in data[:1000].replace(b"\xff\xfe", b""):
        raise BrambleError(f"data import: {path} is a workbook or an archive; unpack it, or save it as CSV")
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


def wide(table: Table, wanted: Mapping[str, str], every_s: float) -> Any:
    """Return a frame with a row a bin of time of an export with one reading a line; an empty cell is a missing reading.

    Parameters
    ----------
    wanted
        What each sensor is called in a recording.
    every_s
        Seconds of a bin. Of a form that has changes alone a value stays until the next one, of any other a bin has the mean of its lines.
    """
    import pandas as pd

    assert table.kind.long
    sensor, value = table.kind.long
    frame, every = table.frame, pd.Timedelta(seconds=every_s)
    columns = {}
    for name, channel in wanted.items():
        mine = frame[frame[sensor] == name]
        try:
            at = pd.to_datetime(mine[table.kind.time], utc=True, format="ISO8601")
        except ValueError:
            try:
                at = pd.to_datetime(mine[table.kind.time].astype(float), utc=True, unit="s")
            except ValueError as error:
                raise BrambleError(f"data import: {table.kind.time} of {name} is no time ({error})") from None
        off = mine[value].str.casefold().isin(OFF)
        numbers = pd.to_numeric(mine[value].where(~off), errors="coerce")
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
