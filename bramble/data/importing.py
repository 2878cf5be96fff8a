"""``bramble data import``: make a recording of an export, and show what was made of it."""

from __future__ import annotations

import csv
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bramble import terminal
from bramble.data import formats
from bramble.data.formats import Table
from bramble.data.settings import ImportSettings
from bramble_client.hal.channels import quantity
from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim import recordings
from bramble_client.hal.sim.recordings import Recording
from bramble_protocol.errors import BrambleError

SHOWN = 3
"""Rows of the preview."""


def run(settings: ImportSettings) -> int:
    """Show what a file is and what becomes of it, and write that if somebody says where; return 0.

    Raises
    ------
    BrambleError
        If it cannot be read, or cannot be understood without being told more; the text says what.
    """
    file = Path(settings.file)
    if settings.output is not None and settings.output.exists():
        raise BrambleError(f"data import: {settings.output} is there already; name another file with --output")
    table = formats.read(file)
    said = dict(_pair(item) for item in settings.map)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file.name
        _recorded(table, said, settings, path)
        try:
            recording = recordings.load(path)
        except RecordingError as error:
            raise BrambleError(f"data import: {str(error).replace(str(path), str(file))}") from None
    found = _found(table, recording, settings.output)
    if not settings.as_json:
        _shown(found, recording)
    last = "Nothing is written: say where with --output."
    if settings.output is not None:
        _write(recording, settings.output)
        last = f"{settings.output}: for bramble client --replay, bramble predict --csv, and in a folder for bramble simulate --data"
    terminal.tell(settings.as_json, found, last)
    return 0


def _pair(item: str) -> tuple[str, str]:
    column, _, channel = item.rpartition("=")
    if not column or not channel:
        raise BrambleError(f"data import: --map {item!r} is not COLUMN=CHANNEL, such as 'outTemp=temperature' or 'T1=temperature (°F)'")
    return column.strip(), channel.strip()


def _recorded(table: Table, said: dict[str, str], settings: ImportSettings, path: Path) -> None:
    """Write an export's cells as a recording has them; times, units and missing readings stay as they are written."""
    kind, frame = table.kind, table.frame
    if kind.long:
        there = sorted(set(frame[kind.long[0]]))
        _known(said, there)
        if not said:
            raise BrambleError(
                f"data import: this is a {kind.name}; say which sensor is which channel, as in --map '{there[0]}=temperature': it has "
                f"{', '.join(there[:20])}"
            )
        formats.wide(table, said, settings.every).to_csv(path, index=False)
        return
    _known(said, list(frame))
    names = {name: called for name in frame if (called := said.get(name) or formats.called(kind, name))}
    if kind is formats.PLAIN:  # the reader of recordings tells what its columns are, the time among them
        names = dict(said)
    else:
        zone = settings.zone or kind.zone
        if zone is None:
            raise BrambleError(f"data import: an {kind.name} has local times; say whose with --zone, such as --zone Europe/Berlin")
        frame = frame[[kind.time, *names]]
        names[kind.time] = f"time ({zone})"
    if kind is formats.PLAIN and settings.zone:
        first = next(iter(frame))
        names[first] = f"time ({settings.zone})"
    frame.rename(columns=names).to_csv(path, index=False, sep=";" if kind is formats.PLAIN else ",")


def _known(said: dict[str, str], there: list[str]) -> None:
    for name in said:
        if name not in there:
            raise BrambleError(f"data import: --map names {name!r}, which is not there; there are {', '.join(there[:30])}")


def _found(table: Table, recording: Recording, output: Path | None) -> dict[str, Any]:
    """Return what a file is, and of each channel its unit, readings, missing ones, and the least and most of them."""
    times, values = recording.samples(recording.channels)
    channels = []
    for key, column in zip(recording.channels, values.T, strict=True):
        known = column[~np.isnan(column)]
        least, most = (float(known.min()), float(known.max())) if len(known) else (None, None)
        counts = {"readings": len(known), "missing": len(column) - len(known), "least": least, "most": most}
        channels.append({"channel": key, "unit": quantity(key).unit, **counts})
    about = {"kind": table.kind.name, "rows": len(times), "first": _moment(times[0]), "last": _moment(times[-1]), "gaps": recording.gaps}
    return {**about, "channels": channels, "file": output and str(output)}


def _shown(found: dict[str, Any], recording: Recording) -> None:
    console = terminal.console()
    first, last = (f"{found[at][:10]} {found[at][11:16]} UTC" for at in ("first", "last"))
    console.print(f"{found['kind']}: {found['rows']:,} rows from {first} to {last}, {found['gaps']} gaps", soft_wrap=True, highlight=False)
    rows = [
        [each["channel"], each["unit"], f"{each['readings']:,}", f"{each['missing']:,}", *map(_figure, (each["least"], each["most"]))]
        for each in found["channels"]
    ]
    console.print(terminal.table(["channel", "unit", "readings", "missing", "least", "most"], rows))
    for line in _lines(recording, SHOWN):
        console.print("  ".join(line), soft_wrap=True, highlight=False)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _lines(recording: Recording, most: int | None = None) -> list[list[str]]:
    times, values = recording.samples(recording.channels)
    rows = zip(times[:most], values[:most], strict=True)
    return [[_moment(at), *("" if np.isnan(each) else f"{each:.6g}" for each in row)] for at, row in rows]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(float(at), UTC).isoformat().replace("+00:00", "Z")


def _write(recording: Recording, path: Path) -> None:
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["time", *recording.channels], *_lines(recording)])
    except OSError as error:
        raise BrambleError(f"data import: {path} cannot be written ({error.strerror}); say where with --output") from None
