"""Where the readings of simulated clients come from: recordings, a folder of files, or a function of somebody's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_client.hal.channels import known_to_a_task
from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim import recordings, rooms
from bramble_client.learn.labels import said
from bramble_client.learn.windows import Windows, windows
from bramble_client.recordings import exercises
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest
from bramble_protocol.kinds import LABEL
from bramble_protocol.plugins import entry_points, loaded, one

GROUP = "bramble.readings"
"""Entry points of functions that take a manifest and return, by place, times of shape (n,), in seconds since 1970 UTC, and values of shape
(n, channels), one column a channel of the manifest, NaN where a reading is missing."""
HELD_OUT = 0.1
"""Last part of each place's windows, which no client trains on. As many before them as share a reading with one of them are nobody's."""
LEAST = 500
"""Windows that a client has at least, as long as its place has so many."""
MOST = 1 << 40
"""Bytes of windows that a place may have: they are views, and there once."""

ROOMS, MINUTES = 10, 5 * 1440
"""Simulated rooms, and minutes of each, for tasks whose bins are of a minute or less."""

Readings = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Place:
    """One place's windows: all clients of it share them."""

    name: str
    known: Windows
    held_out: Windows
    """Windows of a later time, none of which shares a reading with one that is known."""


@dataclass(frozen=True)
class Stretch:
    """What one client knows: so many of its place's windows from one on."""

    client: str
    place: Place
    start: int
    stop: int

    @property
    def windows(self) -> Windows:
        """The windows, as views."""
        return self.place.known[self.start : self.stop]


def read(source: str | None, manifest: Manifest) -> list[Place]:
    """Return the places that there are.

    Parameters
    ----------
    source
        A folder of CSV files, each a place's; or the name of an entry point; None for the recordings that come with Bramble.
    manifest
        Whose channels are wanted, and how windows are built.

    Raises
    ------
    BrambleError
        If there is no such source, or no place of it can train the task; the text says what each lacks.
    """
    found = _readings(source, manifest)
    places, lacking = [], []
    for name, (times, values) in sorted(found.items()):
        place = _place(name, windows(times, values, manifest, MOST), manifest)
        if place is None:
            lacking.append(name)
        else:
            places.append(place)
    if not found:
        raise BrambleError(f"data: {source} gives no place")
    if not places:
        need = f"{manifest.window + manifest.interface.furthest} consecutive bins of {manifest.step_s:g} s"
        raise BrambleError(f"data: none of {', '.join(lacking[:5])} has readings enough for task {manifest.task}: a window takes {need}")
    if classes := manifest.kind.classes:
        true = manifest.interface.targets[0].name
        there = {int(each) for place in places for each in np.unique(place.known.targets[true])}
        if nobodys := [name for number, name in enumerate(classes) if number not in there]:
            raise BrambleError(
                f"data: no place has a window of class {', '.join(nobodys)}; label some so, or leave it out of task {manifest.task}"
            )
    return places


def recorded(path: Path, manifest: Manifest) -> Readings:
    """Return times and values of one recording.

    Raises
    ------
    BrambleError
        If it cannot be read, or lacks a channel that the task takes.
    """
    ((_, readings),) = _recorded({path.name: path}, manifest)
    return readings


def share(places: Sequence[Place], clients: int, least: int = LEAST) -> tuple[list[Stretch], bool]:
    """Give each client a stretch of a place, in turn.

    Parameters
    ----------
    places
        As :func:`read` gives them.
    clients
        How many there are.
    least
        Windows that each has at least, or its whole place.

    Returns
    -------
    tuple
        The stretches, and whether any two of one place overlap.
    """
    width, overlap = len(str(clients)), False
    of_place = [list[int]() for _ in places]
    for index in range(clients):
        of_place[index % len(places)].append(index)
    found: dict[int, Stretch] = {}
    for place, members in zip(places, of_place, strict=True):
        whole = len(place.known)
        length = min(whole, max(whole // max(1, len(members)), least))
        starts = np.linspace(0, whole - length, len(members)).round().astype(int).tolist()
        overlap |= any(second - first < length for first, second in itertools.pairwise(starts))
        for index, start in zip(members, starts, strict=True):
            found[index] = Stretch(f"{place.name}-{index + 1:0{width}}", place, start, start + length)
    return [found[index] for index in range(clients)], overlap


def _place(name: str, all_windows: Windows, manifest: Manifest) -> Place | None:
    apart = -(-(manifest.window + manifest.interface.furthest) // manifest.stride)
    held_out = max(1, round(len(all_windows) * HELD_OUT))
    known = len(all_windows) - held_out - apart
    return Place(name, all_windows[:known], all_windows[-held_out:]) if known > 0 else None


def _readings(source: str | None, manifest: Manifest) -> Mapping[str, Readings]:
    if source is None and _of_exercises(manifest):
        return _exercises(manifest)
    if source is None and manifest.step_s <= rooms.MINUTE:
        return _heated(manifest)
    if source is None:
        return dict(_recorded(recordings.builtin(), manifest))
    points = entry_points(group=GROUP)
    if named := [point for point in points if point.name == source]:
        what = f"data: {source}"
        return _of_function(source, loaded(one(named, what), what), manifest)
    folder = Path(source)
    if not folder.is_dir():
        others = f", nor one of the functions that packages offer ({', '.join(point.name for point in points)})" if points else ""
        raise BrambleError(f"data: {source} is not a folder of CSV files{others}")
    files = {path.name.partition(".")[0]: path for path in sorted(folder.iterdir()) if path.name.endswith((".csv", ".csv.gz"))}
    if not files:
        raise BrambleError(f"data: no file in {source} ends in .csv or .csv.gz")
    return dict(_recorded(files, manifest))


def _of_exercises(manifest: Manifest) -> bool:
    """Return whether people's exercises are what a task is about, and not the weather."""
    return LABEL in (keys := {channel.key for channel in manifest.channels}) and keys <= {*exercises.CHANNELS, LABEL}


def _exercises(manifest: Manifest) -> dict[str, Readings]:
    """Return each person's, with the numbers that the task gives the classes."""
    classes = [float(manifest.kind.classes.index(name)) if name in manifest.kind.classes else np.nan for name in exercises.CLASSES]
    columns = [[*exercises.CHANNELS, LABEL].index(channel.key) for channel in manifest.channels]
    return {
        name: (person.times, np.column_stack([person.values, np.asarray(classes)[person.labels.astype(int)]])[:, columns])
        for name, person in exercises.people().items()
    }


def _heated(manifest: Manifest) -> Mapping[str, Readings]:
    """Return what sensors in simulated rooms say: no recording that comes with Bramble has a reading a minute."""
    columns = [rooms.KEYS.index(channel.key) if channel.key in rooms.KEYS else None for channel in manifest.channels]
    lacking = [c.key for c, at in zip(manifest.channels, columns, strict=True) if at is None and c.key not in manifest.optional]
    if lacking:
        raise BrambleError(f"data: simulated rooms have no {lacking[0]}, which task {manifest.task} needs; name a folder with --data")
    found = {}
    for number in range(1, ROOMS + 1):
        times, values = rooms.readings(str(number), MINUTES)
        nothing = np.full(len(times), np.nan)
        found[f"room-{number}"] = times, np.column_stack([nothing if at is None else values[:, at] for at in columns])
    return found


def _recorded(files: Mapping[str, Path], manifest: Manifest) -> Iterator[tuple[str, Readings]]:
    """Yield the readings of those files that have all channels."""
    known_to_a_task(manifest.channels, f"task {manifest.task}")
    keys, without = [channel.key for channel in manifest.channels], []
    for name, path in files.items():
        recording = recordings.load(path)
        there = (*recording.channels, *manifest.optional, *([LABEL] if recording.labels else []))
        if missing := [key for key in keys if key not in there]:
            without.append(f"{path.name} has no {missing[0]}")
            continue
        times = np.asarray(recording.first + manifest.step_s * np.arange(round(recording.duration / manifest.step_s)), np.float64)
        nothing = np.nan
        rows = ([nothing if at.get(key) is None else at[key] for key in keys] for at in map(recording.at, times.tolist()))
        yield name, said(recording.labels, times, np.array(list(rows), np.float64), manifest)
    if len(without) == len(files):
        raise RecordingError(f"data: task {manifest.task} needs {', '.join(keys)}; {'; '.join(without[:5])}")


def _of_function(name: str, function: Any, manifest: Manifest) -> Mapping[str, Readings]:
    try:
        given = function(manifest)
        found = {str(place): (np.asarray(times, np.float64), np.asarray(values, np.float64)) for place, (times, values) in given.items()}
    except Exception as error:  # of a third party
        raise BrambleError(f"data: {name} failed ({type(error).__name__}: {' '.join(str(error).split())[:200]}); ask its author") from error
    for place, (times, values) in found.items():
        if times.ndim != 1 or values.shape != (len(times), len(manifest.channels)):
            raise BrambleError(
                f"data: {name} gives for {place} times of shape {times.shape} and values of shape {values.shape}; "
                f"wanted are (n,) and (n, {len(manifest.channels)}); ask its author"
            )
    return found
