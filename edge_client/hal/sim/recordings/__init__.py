"""Recordings of real stations, and anybody's own: CSV files that the simulated chips replay."""

from __future__ import annotations

import csv
import gzip
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path

from edge_client.hal.channels import TABLE
from edge_client.hal.errors import RecordingError

FOLDER = Path(__file__).parents[2] / "recordings"


class Recording:
    """Quantities over time, repeated for ever.

    Parameters
    ----------
    times
        Seconds since 1970-01-01 UTC, increasing; at least one.
    columns
        Values by channel, each as long as ``times``.
    """

    def __init__(self, times: list[float], columns: dict[str, list[float]]) -> None:
        self.first = times[0]
        self.channels = tuple(columns)
        # The step from the last sample to the first one of the next pass is taken to be the recording's own, the median one
        steps = sorted(later - earlier for earlier, later in pairwise(times))
        step = steps[len(steps) // 2] if steps else 1.0
        self.duration = times[-1] - times[0] + step
        self._offsets = [t - self.first for t in times] + [self.duration]
        self._columns = {key: [*values, values[0]] for key, values in columns.items()}

    def at(self, t: float) -> dict[str, float]:
        """Return the value of every channel at a time, linear between samples."""
        offset = (t - self.first) % self.duration
        i = bisect_right(self._offsets, offset) - 1
        i = min(i, len(self._offsets) - 2)
        part = (offset - self._offsets[i]) / (self._offsets[i + 1] - self._offsets[i])
        return {key: values[i] + (values[i + 1] - values[i]) * part for key, values in self._columns.items()}


def builtin() -> dict[str, Path]:
    """Return the recordings that come with the client, by name."""
    return {path.name.removesuffix(".csv.gz"): path for path in sorted(FOLDER.glob("*.csv.gz"))}


def load(path: Path) -> Recording:
    """Read a recording from a CSV file, or a gzipped one.

    The first line names the columns: ``time``, then keys of the channel table. Times are ISO 8601 (UTC unless they say otherwise)
    or seconds since 1970-01-01 UTC, and increase from line to line.

    Raises
    ------
    RecordingError
        If the file cannot be read or is malformed; the text names the line and the column.
    """
    rows = _rows(path)
    try:
        header = next(rows)[1]
    except StopIteration:
        raise RecordingError(f"{path} is empty; its first line must name the columns: time, then channels such as temperature") from None
    keys = _columns(path, header)
    times: list[float] = []
    columns: dict[str, list[float]] = {key: [] for key in keys}
    for line, row in rows:
        if len(row) != len(header):
            column = f"column '{header[len(row)].strip()}'" if len(row) < len(header) else f"column {len(header) + 1}"
            raise RecordingError(f"{path}, line {line}, {column}: {len(row)} values where the first line names {len(header)} columns")
        t = _time(path, line, row[0].strip())
        if times and t <= times[-1]:
            what = "repeats" if t == times[-1] else "lies before"
            raise RecordingError(
                f"{path}, line {line}, column 'time': {row[0].strip()} {what} the time of the line above; sort the file by time"
            )
        times.append(t)
        for key, text in zip(keys, row[1:], strict=True):
            columns[key].append(_number(path, line, key, text.strip()))
    if not times:
        raise RecordingError(f"{path} has no line of values after the one that names the columns")
    return Recording(times, columns)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that is not blank."""
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except OSError as cause:
        raise RecordingError(f"{path} cannot be read: {cause.strerror or cause}") from cause
    except (EOFError, zlib.error) as cause:
        raise RecordingError(f"{path} is a damaged gzip file ({cause}); copy it again") from cause
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        column = data[data.rfind(b"\n", 0, cause.start) + 1 : cause.start].count(b",") + 1
        raise RecordingError(f"{path}, line {line}, column {column}: not UTF-8 text; save the file as UTF-8") from cause
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as cause:
        raise RecordingError(f"{path}, line {reader.line_num}, column 1: not CSV ({cause})") from cause


def _columns(path: Path, header: list[str]) -> list[str]:
    names = [name.strip() for name in header]
    if names[0] != "time":
        raise RecordingError(f"{path}, line 1, column 1: the first column must be 'time', not {names[0]!r}")
    keys = names[1:]
    if not keys:
        raise RecordingError(f"{path}, line 1, column 2: missing; name at least one channel after 'time', such as temperature")
    for i, key in enumerate(keys):
        if key not in TABLE:
            raise RecordingError(f"{path}, line 1, column {i + 2}: {key!r} is not a channel; the channels are {', '.join(TABLE)}")
        if key in keys[:i]:
            raise RecordingError(f"{path}, line 1, column {i + 2}: '{key}' appears twice")
    return keys


def _time(path: Path, line: int, text: str) -> float:
    try:
        t = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            form = "write it as 2023-01-01T00:00:00Z or as seconds since 1970-01-01 UTC"
            raise RecordingError(f"{path}, line {line}, column 'time': {text!r} is not a time; {form}") from None
        t = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isfinite(t):
        raise RecordingError(f"{path}, line {line}, column 'time': {text!r} is not a time")
    return t


def _number(path: Path, line: int, key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        what = "a value is missing" if not text else f"{text!r} is not a number"
        raise RecordingError(f"{path}, line {line}, column '{key}': {what}")
    return value
