"""What the columns of a recording are: the time, channels in whatever unit their name says, and what is none of these."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from pathlib import Path

from bramble_client.hal.channels import TABLE, known, quantity
from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim.recordings.text import Header
from bramble_client.hal.units import UNITS, factors, folded

TIMES = {
    "time": "", "timestamp": "", "datetime": "", "date_time": "", "date": "", "utc": "UTC", "created_at": "", "epoch": "", "unix": "",
    "unixtime": "", "unix_time": "", "zeit": "", "zeitstempel": "", "datum": "", "datum_zeit": "", "uhrzeit": "",
}  # fmt: skip
"""What a column of times is called, and the zone that the name itself says."""
CLOCK_PARTS = ("time", "zeit", "uhrzeit")
"""What the time of day is called beside a column for the date."""
COUNTS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "microseconds": 1e-6, "ns": 1e-9}
"""Seconds in the units that a count of time since 1970 may have."""
NAMES = {
    "temp": "temperature", "air_temperature": "temperature", "temperatur": "temperature",
    "hum": "humidity", "rh": "humidity", "relative_humidity": "humidity", "rel_humidity": "humidity", "luftfeuchtigkeit": "humidity",
    "luftfeuchte": "humidity", "press": "pressure", "barometric_pressure": "pressure", "atmospheric_pressure": "pressure",
    "air_pressure": "pressure", "luftdruck": "pressure", "co2": "carbon_dioxide", "co₂": "carbon_dioxide", "light": "illuminance",
    "lux": "illuminance", "volt": "voltage", "voltage_v": "voltage",
    "abstand": "distance", "entfernung": "distance", "sraw_voc": "voc_raw",
    **{f"{name}_{axis}": f"acceleration_{axis}" for name in ("accel", "acc") for axis in "xyz"},
    **{f"{name}_{axis}": f"rotation_{axis}" for name in ("gyro", "gyr") for axis in "xyz"},
}  # fmt: skip
"""Other names of channels."""
_UNIT = re.compile(r"(?P<name>.*?)\s*(?:\((?P<a>[^()]*)\)|\[(?P<b>[^\[\]]*)\])\s*", re.DOTALL)
_FOREIGN = (
    ({"entity_id", "state"}, "a history export of Home Assistant (entity_id, state, last_changed)"),
    ({"statistic_id"}, "an export of Home Assistant's statistics"),
    ({"_time", "_value"}, "an annotated export of InfluxDB (_time, _value, _field)"),
)
"""Exports that hold one reading a line whatever the sensor, by columns that give them away."""


@dataclass(frozen=True)
class Column:
    """A column that is a channel: value * factor + offset is in the channel's unit."""

    index: int
    label: str
    key: str
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class TimeColumn:
    """Where the times are: one column, or one of dates and one of times of day.

    Parameters
    ----------
    seconds
        What one of a count since 1970 is, in seconds, if the name says it.
    zone
        Whose clock it is, if the name says it.
    """

    indices: tuple[int, ...]
    label: str
    seconds: float | None = None
    zone: tzinfo | None = None


@dataclass(frozen=True)
class Columns:
    """What every column of a recording is."""

    time: TimeColumn
    channels: list[Column]
    ignored: list[str]
    said: int | None = None
    """Which column names what was going on, for tasks that classify."""


def understand(path: Path, header: Header) -> Columns:
    """Tell what each column is.

    Raises
    ------
    RecordingError
        If there is no time or no channel, or a name means two things.
    """
    names = [_normal(name) for name in header.names]
    for columns, kind in _FOREIGN:
        if columns <= {*names, *(name.casefold().strip() for name in header.names)}:
            remedy = "bramble data import makes a recording of it, or give each sensor a column, as in time,temperature,humidity"
            raise RecordingError(f"{path} is {kind}, which Bramble cannot read as it is: {remedy}")
    time = _time(path, header, names)
    channels: list[Column] = []
    ignored: list[str] = []
    said = next((index for index, name in enumerate(names) if name == "label"), None)
    for index, label in enumerate(header.names):
        if index in time.indices or index == said:
            continue
        column = _channel(path, header.line, index, label)
        if column is None:
            ignored.append(label)
            continue
        twin = next((other for other in channels if other.key == column.key), None)
        if twin is not None:
            both = f"'{column.key}' appears twice" if twin.label == label else f"'{label}' and '{twin.label}' are both {column.key}"
            raise RecordingError(f"{path}, line {header.line}, column {index + 1}: {both}; take one of them away")
        channels.append(column)
    if not channels:
        raise RecordingError(_nothing(path, header, ignored))
    return Columns(time, channels, [name or "(without a name)" for name in ignored], said)


def _normal(name: str) -> str:
    return re.sub(r"[\s\-./]+", "_", name.casefold().strip().strip("\"'")).strip("_")


def _parted(label: str) -> tuple[str, str | None]:
    """Split ``Temperature (°F)`` into its name and its unit."""
    match = _UNIT.fullmatch(label)
    return (match["name"], (match["a"] if match["a"] is not None else match["b"]).strip()) if match else (label, None)


def _time(path: Path, header: Header, names: list[str]) -> TimeColumn:
    found: list[TimeColumn] = []
    for index, label in enumerate(header.names):
        name, unit = _parted(label)
        name, last = _normal(name), _normal(name).rpartition("_")
        if name not in TIMES and last[0] in TIMES and last[2] in (*COUNTS, "utc", "gmt"):  # timestamp_ms, time_utc
            name, unit = last[0], unit or last[2]
        if name in TIMES:
            found.append(_time_column(path, header.line, index, label, unit or TIMES[name]))
    if len(found) == 2 and names[found[0].indices[0]] in ("date", "datum") and _normal(_parted(found[1].label)[0]) in CLOCK_PARTS:
        date, clock = found
        return TimeColumn((*date.indices, *clock.indices), clock.label, None, clock.zone or date.zone)
    exact = [column for column in found if names[column.indices[0]] == "time"]
    if len(found) > 1 and len(exact) != 1:
        both, second = " and ".join(f"'{column.label}'" for column in found), found[1].indices[0] + 1
        raise RecordingError(f"{path}, line {header.line}, column {second}: {both} are both times; call the one that counts 'time'")
    if not found:
        first = header.names[0][:60]
        if re.match(r"\d[\d.:\-/ ]{5}", first):
            raise RecordingError(
                f"{path}, line {header.line}, column 1: {first!r} is no name; put a line such as time,temperature,humidity first"
            )
        hint = "; if spaces stand between the columns, put commas there" if len(header.names) == 1 and " " in first else ""
        raise RecordingError(f"{path}, line {header.line}, column 1: the first column must be 'time', not {first!r}{hint}")
    return (exact or found)[0]


def _time_column(path: Path, line: int, index: int, label: str, unit: str) -> TimeColumn:
    if not unit:
        return TimeColumn((index,), label)
    if folded(unit) in COUNTS:
        return TimeColumn((index,), label, seconds=COUNTS[folded(unit)])
    offset = re.fullmatch(r"(?:UTC|GMT|Z)?\s*(?:([+-])(\d{1,2})(?::?(\d\d))?)?", unit, re.IGNORECASE)
    if offset:
        minutes = int(offset[2] or 0) * 60 + int(offset[3] or 0)
        return TimeColumn((index,), label, zone=timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes)))
    try:
        from zoneinfo import ZoneInfo  # here, for a client that replays none has no use for it

        return TimeColumn((index,), label, zone=ZoneInfo(unit))
    except (KeyError, ValueError, OSError):
        remedy = "write a count's unit, as time (ms), or a zone, as time (UTC), time (+01:00) or time (Europe/Berlin)"
        raise RecordingError(f"{path}, line {line}, column {index + 1}: {unit!r} says neither; {remedy}") from None


def _channel(path: Path, line: int, index: int, label: str) -> Column | None:
    name, unit = _parted(label)
    key = _key(name)
    if key is None and unit is None:  # temperature_f, Temperature °F
        name, _, unit = re.sub(r"[\s_/]+|(?<=\w)(?=°)", "\0", label.strip()).rpartition("\0")
        key = _key(name)
        if key is None or factors(key, unit) is None:
            return None
    if key is None:
        return None
    scale = factors(key, unit) if unit else (1.0, 0.0)
    if scale is None:
        units = ", ".join([quantity(key).unit, *UNITS.get(key, ())])
        raise RecordingError(f"{path}, line {line}, column {index + 1}: {unit!r} is no unit of {key} that Bramble knows; it knows {units}")
    return Column(index, label, key, *scale)


def _key(name: str) -> str | None:
    normal = _normal(name.replace("\0", "_"))
    key = NAMES.get(normal, normal)
    return key if known(key) else None


def _nothing(path: Path, header: Header, ignored: list[str]) -> str:
    if not ignored:
        return f"{path}, line {header.line}, column 2: missing; name at least one channel after 'time', such as temperature"
    from difflib import get_close_matches

    near = get_close_matches(_normal(ignored[0]), [*TABLE, *NAMES], 1)
    meant = f" (did you mean {NAMES.get(near[0], near[0])}?)" if near else ""
    column = header.names.index(ignored[0]) + 1
    return f"{path}, line {header.line}, column {column}: {ignored[0]!r} is not a channel{meant}; the channels are {', '.join(TABLE)}"


def probable_unit(key: str, value: float) -> str | None:
    """Return the unit in which a value that the channel cannot have would be a usual one."""
    for unit, (factor, offset) in UNITS.get(key, {}).items():
        if (factor, offset) != (1.0, 0.0) and quantity(key).plausible(value * factor + offset):
            return _SHOWN.get(unit, unit)
    return None


_SHOWN = {"°f": "°F", "degf": "°F", "k": "K", "pa": "Pa", "kpa": "kPa", "inhg": "inHg", "mmhg": "mmHg", "mv": "mV", "ma": "mA", "mw": "mW"}
"""How a unit is written in a sentence, where that differs from how it is looked up."""
