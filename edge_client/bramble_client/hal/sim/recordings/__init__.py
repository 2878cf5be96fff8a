"""Recordings of real stations, and anybody's own: CSV files that the simulated chips replay.

``text`` makes rows of a file, ``header`` says what its columns are, ``times`` and ``values`` read them.
"""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim.recordings.header import Columns, understand
from bramble_client.hal.sim.recordings.text import Sheet
from bramble_client.hal.sim.recordings.times import Ambiguous, Times, day_first
from bramble_client.hal.sim.recordings.values import Values
from bramble_protocol.printable import printable

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parents[3] / "recordings"
FEW = 3
"""Median steps that two samples may lie apart and still have a line between them; further apart there is a gap."""
MANY = 1_000_000
"""Samples from which on values are kept to seven digits, finer than any chip measures: a month at 1 Hz must not fill a Pi's memory."""


class Recording:
    """Quantities over time, repeated for ever.

    Parameters
    ----------
    times
        Seconds since 1970-01-01 UTC, increasing; at least one.
    columns
        Values by channel, each as long as ``times``; NaN where a reading is missing.
    labels
        What was going on, in order of time: from when on, and what, as a person would say it by the button; empty for none.
    """

    def __init__(self, times: ArrayLike, columns: Mapping[str, ArrayLike], labels: Sequence[tuple[float, str]] = ()) -> None:
        self.labels = tuple(labels)
        self._times: NDArray[np.float64] = np.asarray(times, np.float64)
        self.first = float(self._times[0])
        self.channels = tuple(columns)
        precision = np.float32 if len(self._times) > MANY else np.float64
        self._columns: dict[str, NDArray[Any]] = {key: np.asarray(values, precision) for key, values in columns.items()}
        steps = np.empty(len(self._times) - 1, np.float32)
        np.subtract(self._times[1:], self._times[:-1], out=steps, casting="same_kind")
        longest = int(steps.argmax()) if len(steps) else 0
        # The step from the last sample to the first one of the next pass is taken to be the recording's own, the median one
        step = float(np.median(steps, overwrite_input=True)) if len(steps) else 1.0
        self.duration = float(self._times[-1]) - self.first + step
        self._reach = FEW * step
        self.gaps = int((steps > self._reach).sum())
        """How often samples lie too far apart to have a line between them."""
        self.longest = float(self._times[longest]), float(self._times[min(longest + 1, len(steps))])
        """From when to when the longest step lasts, seconds since 1970-01-01 UTC."""

    def at(self, t: float) -> dict[str, float | None]:
        """Return the value of every channel at a time, linear between samples; None where one is missing, or in a gap."""
        moment = self.first + (t - self.first) % self.duration
        i = int(self._times.searchsorted(moment, side="right")) - 1
        since = moment - float(self._times[i])
        if since == 0.0:
            return {key: _present(values[i]) for key, values in self._columns.items()}
        last = i + 1 == len(self._times)
        following, end = (0, self.first + self.duration) if last else (i + 1, float(self._times[i + 1]))
        length = end - float(self._times[i])
        if length > self._reach:
            return dict.fromkeys(self._columns)
        part = since / length
        ends = ((key, float(values[i]), float(values[following])) for key, values in self._columns.items())
        return {key: _present(before + (after - before) * part) for key, before, after in ends}

    def said(self, begin: float, end: float) -> list[tuple[float, str]]:
        """Return what was going on from one time to another, in the form of ``labels``: they are repeated as the readings are."""
        first, last = (int((t - self.first) // self.duration) for t in (begin, end))
        return [(t + turn * self.duration, label) for turn in range(first, last + 1) for t, label in self.labels]

    def samples(self, keys: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return its own samples, as a recorder hands out readings.

        Returns
        -------
        t
            Shape (n,), seconds since 1970-01-01 UTC.
        values
            Shape (n, len(keys)); NaN where a reading is missing, and for a channel that it does not have.
        """
        nothing = np.full(len(self._times), np.nan)
        return self._times, np.stack([self._columns.get(key, nothing) for key in keys], 1).astype(np.float64)


def _present(value: float) -> float | None:
    return None if value != value else float(value)


def builtin() -> dict[str, Path]:
    """Return the recordings that come with the client, by name."""
    return {path.name.removesuffix(".csv.gz"): path for path in sorted(FOLDER.glob("*.csv.gz"))}


def load(path: Path) -> Recording:
    """Read a recording from a CSV file, or a gzipped one, and say in a line each what of it is missing or not used.

    The first line names the columns: ``time``, and channels of the table, in other units too, as in ``temperature (°F)``. Times are
    ISO 8601 (UTC unless they say otherwise), seconds since 1970-01-01 UTC, or another form that can mean one thing only, and
    increase from line to line. An empty cell, ``NA``, -9999 and the like are missing readings. A column ``label`` names what was going
    on, for tasks that classify; an empty cell there is none of it.

    Raises
    ------
    RecordingError
        If the file cannot be read or is malformed; the text names the line and the column.
    """
    sheet = Sheet(path)
    columns = understand(path, sheet.header)
    try:
        recording, missing = _read(sheet, columns, None)
    except Ambiguous:
        recording, missing = _read(sheet, columns, day_first(path, columns.time, sheet.blocks()))
    empty = [column.label for column in columns.channels if column.key not in recording.channels]
    _report(path, recording, columns.ignored, empty, missing)
    return recording


def _read(sheet: Sheet, columns: Columns, first: bool | None) -> tuple[Recording, Counter[str]]:
    times = Times(sheet.path, columns.time, first)
    readers = {column.key: Values(sheet.path, column, sheet.header.separator != ",") for column in columns.channels}
    moments = array("d")  # grows in place, where lists of parts would be twice in memory when they are joined
    found = {key: array("d") for key in readers}
    labels: list[tuple[float, str]] = []
    for block in sheet.blocks():
        moments.frombytes(times.read(block).tobytes())
        for key, reader in readers.items():
            if len(moments) > MANY and found[key].typecode == "d":
                found[key] = array("f", found[key])
            found[key].frombytes(reader.read(block).astype(found[key].typecode).tobytes())
        if columns.said is not None:
            at = moments[-len(block.lines) :]
            for t, cell in zip(at, block.columns[columns.said], strict=True):
                if not labels or labels[-1][1] != cell.strip():
                    labels.append((t, cell.strip()))
    if not moments:
        raise RecordingError(f"{sheet.path} has no line of values after the one that names the columns")
    series = {key: np.frombuffer(values, values.typecode) for key, values in found.items()}
    empty = [key for key, values in series.items() if np.isnan(values).all()]
    if len(empty) == len(series):
        raise RecordingError(f"{sheet.path} has no reading in any line; its columns {', '.join(empty)} are empty")
    missing = sum((reader.missing for reader in readers.values()), Counter[str]())
    return Recording(np.frombuffer(moments), {key: values for key, values in series.items() if key not in empty}, labels), missing


def _report(path: Path, recording: Recording, ignored: Sequence[str], empty: Sequence[str], missing: Counter[str]) -> None:
    if empty:
        logger.warning("%s: columns without any reading are left out: %s", path, _listed(empty))
    if ignored:
        logger.warning("%s: columns that are no channel are left out: %s", path, _listed(ignored))
    if missing:
        kinds = ", ".join(f"{cell} {count:,} times" for cell, count in missing.most_common(5))
        logger.warning("%s: missing readings: %s", path, kinds)
    if recording.gaps:
        begin, end = recording.longest
        logger.warning(
            "%s: %s; the longest lasts %s, from %s to %s, and nothing is measured in it",
            path,
            "a gap" if recording.gaps == 1 else f"{recording.gaps:,} gaps",
            _span(end - begin),
            datetime.fromtimestamp(begin, UTC).isoformat(),
            datetime.fromtimestamp(end, UTC).isoformat(),
        )


def _listed(names: Sequence[str]) -> str:
    """Return names as a line of a log can hold them."""
    shown = ", ".join(printable(name[:60]) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
