"""Ten people's exercises, by a watch's accelerometer and gyroscope; SOURCES.md beside this says whose, and on what terms."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("people.npz")
HERTZ = 50.0
STEPS = (0.02, 0.02, 0.02, 1.0, 1.0, 1.0)
"""What one count of each axis in the file is: m/s² and °/s."""
CHANNELS = tuple(f"{kind}_{axis}" for kind in ("acceleration", "rotation") for axis in "xyz")
CLASSES = ("pendulum", "abduction", "forward elevation", "internal rotation", "external rotation", "trapezius extension", "upright row")
"""The exercises, in the order of their numbers; in the source PEN, ABD, FEL, IR, ER, TRAP and ROW."""
PAUSE_S = 4.0
"""Between two recordings of a person: more than a window lasts, so that none is of two exercises."""
AGAIN = 0.15
"""Last part of each recording, which comes in a second session: so the newest of what a person did is some of everything."""
FIRST = 1_672_531_200.0
"""Where each person's time starts, seconds since 1970-01-01 UTC: 2023-01-01. The source has no times."""


@dataclass(frozen=True)
class Person:
    """What one person's watch measured: in either of two sessions one exercise after the other, each with either arm."""

    name: str
    times: NDArray[np.float64]
    """Seconds since 1970-01-01 UTC, shape (n,), increasing, 0.02 s apart within a recording."""
    values: NDArray[np.float64]
    """m/s² and °/s in the order of ``CHANNELS``, shape (n, 6)."""
    labels: NDArray[np.float64]
    """Number of the exercise, shape (n,)."""


def people() -> dict[str, Person]:
    """Return all ten by their names, ``person-01`` and so on."""
    with np.load(FILE, allow_pickle=False) as file:
        lengths, subjects, labels, changes = (file[name] for name in ("lengths", "subjects", "labels", "changes"))
    values = np.cumsum(changes, axis=0, dtype=np.int32) * np.asarray(STEPS)
    ends = np.cumsum(lengths)
    found = {}
    for subject in np.unique(subjects):
        times, parts, said, start = [], [], [], FIRST
        pieces: list[list[tuple[int, int, int]]] = [[], []]
        for i in np.flatnonzero(subjects == subject):
            begin, end = int(ends[i] - lengths[i]), int(ends[i])
            cut = end - round(AGAIN * (end - begin))
            pieces[0].append((begin, cut, int(labels[i])))
            pieces[1].append((cut, end, int(labels[i])))
        for begin, end, label in itertools.chain(*pieces):
            times.append(start + (np.arange(end - begin) + 0.5) / HERTZ)  # in the middle of a bin, where rounding does no harm
            parts.append(values[begin:end])
            said.append(np.full(end - begin, label, np.float64))
            start = float(np.ceil(times[-1][-1] + PAUSE_S))
        name = f"person-{subject:02}"
        found[name] = Person(name, np.concatenate(times), np.concatenate(parts), np.concatenate(said))
    return found
