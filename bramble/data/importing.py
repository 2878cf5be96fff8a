"""``bramble data import``: make a recording of an export, and show what was made of it."""

from __future__ import annotations

import contextlib
import csv
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bramble import terminal
from bramble.data import formats, reading
from bramble.data.formats import Format, base, called, unit, with_unit
from bramble.data.reading import Table
from bramble.data.settings import ImportSettings
from bramble_client.hal.channels import quantity
from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim import recordings
from bramble_client.hal.sim.recordings import Recording
from bramble_client.hal.sim.recordings.header import CLOCK_PARTS, TIMES
from bramble_protocol.errors import BrambleError

if TYPE_CHECKING:
    from pandas import DataFrame

SHOWN = 3
"""Rows of the preview."""
TENTHS = "/10)"
"""What a unit ends with of which a column counts tenths."""
UNITS = ("temperature", "pressure")
"""Channels whose unit has to be known."""


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
    table = reading.read(file)
    said = dict(_pair(item) for item in settings.map)
    with tempfile.TemporaryDirectory() as folder:
        _recorded(table, said, settings, Path(folder) / file.name)
        try:
            with contextlib.chdir(folder):  # so that what is logged names the file as the person knows it
                recording = recordings.load(Path(file.name))
        except RecordingError as error:
            lines = re.sub(r"(?<=line )\d+", lambda found: str(int(found[0]) + table.above), str(error))
            raise BrambleError(f"data import: {lines}") from None
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
    kind, frame, zone = table.kind, table.frame, settings.zone or table.kind.zone
    if kind.long:
        sensor = kind.long[0]
        there = sorted(set(frame[sensor]))
        if not there:
            raise BrambleError(f"data import: this is a {kind.name} without a line; export a time in which something was measured")
        _known(said, there)
        if not said:
            raise BrambleError(
                f"data import: this is a {kind.name}; say which sensor is which channel, as in --map '{there[0]}=temperature': it has "
                f"{', '.join(there[:20])}"
            )
        if "unit" in frame:
            said = {name: with_unit(channel, f"({frame['unit'][frame[sensor] == name].iloc[0]})") for name, channel in said.items()}
        reading.wide(table, said, settings.every, zone).to_csv(path, index=False)
        return
    names = _names(kind, frame, said)
    for name, channel in names.items():
        if channel.endswith(TENTHS):
            frame[name] = [f"{float(cell) / 10:g}" if cell.lstrip("+-").isdigit() else cell for cell in frame[name]]
            names[name] = channel.removesuffix(TENTHS) + ")"
    if kind is formats.PLAIN:  # the reader of recordings tells what its columns are, the time among them
        if settings.zone:
            name = _clock(list(frame))
            names[name] = f"{base(name) if base(name).casefold() in CLOCK_PARTS else 'time'} ({settings.zone})"
    elif zone is None:
        raise BrambleError(f"data import: this is {kind.name}, which has local times; say whose with --zone, such as --zone Europe/Berlin")
    else:
        frame = frame[[kind.time, *names]]
        names[kind.time] = f"time ({zone})"
    frame.rename(columns=names).to_csv(path, index=False, sep=";" if kind is formats.PLAIN else ",")


def _names(kind: Format, frame: DataFrame, said: dict[str, str]) -> dict[str, str]:
    """Return what columns are called in a recording: as a person says, then as the kind of export has it."""
    by_base = {base(name): name for name in frame}
    said = {name if name in frame else by_base.get(name, name): channel for name, channel in said.items()}
    _known(said, list(frame))
    names = {name: with_unit(channel, name) for name, channel in said.items()}
    taken = {base(channel) for channel in names.values()}
    for name in frame:
        known = called(kind, name)
        if name not in names and known is not None and base(known) not in taken:
            names[name] = known
        elif name not in names and kind is formats.PLAIN and unit(name):
            names[name] = with_unit(base(name), name)
    unsaid = next((name for name, channel in names.items() if kind.units and base(channel) in UNITS and not unit(channel)), None)
    if unsaid is not None:
        raise BrambleError(
            f"data import: {kind.name} do not say their units; say that of {unsaid}, as in --map '{unsaid}={names[unsaid]} (°C)'; "
            f"it may be {kind.units}"
        )
    return names


def _clock(names: list[str]) -> str:
    """Return the column of a plain table that a zone is said of: its times, or its times of day beside dates."""
    times = [name for name in names if base(name).casefold() in (*TIMES, *CLOCK_PARTS)]
    return next((name for name in times if base(name).casefold() in CLOCK_PARTS), next(iter(times), names[0]))


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
