"""Exports that people have: how each is told by its columns, and what these are called in a recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bramble_protocol.errors import BrambleError

if TYPE_CHECKING:
    from pandas import DataFrame


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
    units: str = ""
    """How a unit is said where the file does not have it, and the program writes several."""
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
    """Take NOAA's integrated surface data apart: tenths with a sign, then a quality, such as +0050,1; 3 and 7 are known to be wrong."""
    for name in ("TMP", "SLP"):
        if name in frame:
            parts = frame[name].str.partition(",")
            frame[name] = [
                "" if not cell or quality in ("3", "7") or cell.lstrip("+-") in ("9999", "99999") else _tenths(cell)
                for cell, quality in zip(parts[0], parts[2], strict=True)
            ]
    return _one_a_time(frame, "DATE", [name for name in ("TMP", "SLP") if name in frame])


def _tenths(cell: str) -> str:
    return str(int(cell) / 10) if cell.lstrip("+-").isdigit() else cell


def _one_a_time(frame: DataFrame, time: str, columns: list[str]) -> DataFrame:
    """Leave out lines without any reading, such as summaries of a day, and take for each time the first reading that a line of it has."""
    found = frame[[time, *columns]].replace("", None)
    return found.dropna(how="all", subset=columns).groupby(time, sort=False, as_index=False).first().fillna("")


HOURLY = {"HourlyDryBulbTemperature": "temperature", "HourlyRelativeHumidity": "humidity", "HourlyStationPressure": "pressure"}


def _lcd(frame: DataFrame) -> DataFrame:
    """Take off what NOAA's local climatological data mark a value with (49s, 49*), and tell its units by the air's pressure."""
    import pandas as pd

    columns = [name for name in HOURLY if name in frame]
    for name in columns:
        frame[name] = frame[name].str.replace(r"[^\d.+-]+$", "", regex=True)
    frame = _one_a_time(frame, "DATE", columns)
    pressures = pd.to_numeric(frame.get("HourlyStationPressure", pd.Series(dtype=str)), errors="coerce").dropna()
    if pressures.empty:
        return frame
    us = pressures.median() < 40  # inHg; the same in hPa is near 1,000
    return frame.rename(
        columns={
            "HourlyDryBulbTemperature": f"HourlyDryBulbTemperature ({'°F' if us else '°C'})",
            "HourlyStationPressure": f"HourlyStationPressure ({'inHg' if us else 'hPa'})",
        }
    )


def _short_years(frame: DataFrame) -> DataFrame:
    """Write years in full: 1/13/23 is of 2023."""
    frame["Date & Time"] = frame["Date & Time"].str.replace(r"^(\d{1,2}[/.-]\d{1,2}[/.-])(\d\d)(?!\d)", r"\g<1>20\2", regex=True)
    return frame


_T, _H, _P, _C = "temperature (°C)", "humidity (%)", "pressure (hPa)", "carbon_dioxide (ppm)"
FORMATS = (
    Format(
        "history of Home Assistant", ("entity_id", "state", "last_changed"), "last_changed", "UTC", long=("entity_id", "state"), held=True,
    ),
    Format("statistics of Home Assistant", ("statistic_id", "start", "mean"), "start", long=("statistic_id", "mean")),
    Format("statistics of Home Assistant", ("statistic_id", "start_ts", "mean"), "start_ts", long=("statistic_id", "mean")),
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
        "table of DWD", ("STATIONS_ID", "MESS_DATUM"), "MESS_DATUM", "UTC",
        {"TT_TU": _T, "RF_TU": _H, "P0": _P, "TT_10": _T, "RF_10": _H, "PP_10": _P, "TMK": _T, "UPM": _H, "PM": _P},
    ),
    Format("integrated surface data of NOAA", ("STATION", "DATE", "TMP"), "DATE", "UTC", {"TMP": _T, "SLP": _P}, prepare=_isd),
    Format("local climatological data of NOAA", ("STATION", "DATE", "HourlyDryBulbTemperature"), "DATE", None, HOURLY,
           units="(°F) or (°C)", prepare=_lcd),
    Format("summary of the day of NOAA", ("STATION", "DATE", "TEMP", "STP"), "DATE", "UTC", {"TEMP": "temperature (°F)", "SLP": _P}),
    Format("daily summaries of NOAA", ("STATION", "DATE", "TAVG"), "DATE", "UTC", {"TAVG": "temperature"},
           units="(°C), (°F), or (°C/10) for the tenths in which stations' own files are"),
    Format(
        "export of Ecowitt", ("Time", "Outdoor Temperature"), "Time", None,
        {"Outdoor Temperature": "temperature", "Outdoor Humidity": "humidity", "Absolute Pressure": "pressure", "ABS Pressure": "pressure"},
    ),
    Format(
        "export of Davis WeatherLink", ("Date & Time", "Temp"), "Date & Time", None,
        {"Temp": "temperature", "Hum": "humidity", "Barometer": "pressure"}, prepare=_short_years,
    ),
)  # fmt: skip
PLAIN = Format("plain table", ())
_NAMED = re.compile(r"(.*?)(?:\s*\(([^()]*)\)|\s*\[([^][]*)\]|\s+-\s+(\S.*)|\s+in\s+(\S+))?\s*", re.DOTALL)
"""A name and its unit: Temp (°F), Temp [°F], Temp - °F, Temp in °F."""


def base(name: str) -> str:
    """Return a column's name without its unit: ``Outdoor Temperature(℃)`` is ``Outdoor Temperature``."""
    return _NAMED.fullmatch(name)[1].strip()  # type: ignore[index]


def unit(name: str) -> str:
    """Return the unit in a column's name as a recording writes it, empty without one."""
    found = "".join(_NAMED.fullmatch(name).groups("")[1:])  # type: ignore[union-attr]
    return found.strip().replace("℃", "°C").replace("℉", "°F").replace("in Hg", "inHg")


def with_unit(channel: str, name: str) -> str:
    """Return what a person says that a column is, with the unit of the column's name if none was said."""
    return channel if unit(channel) or not unit(name) else f"{channel} ({unit(name)})"


def called(kind: Format, name: str) -> str | None:
    """Return what a column is called in a recording, None where the format does not say it."""
    channel = kind.channels.get(name) or kind.channels.get(base(name))
    return None if channel is None else with_unit(channel, name)
