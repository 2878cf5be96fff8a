"""How long a client still gathers readings before it can train."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.windows import Windows, binned
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest
from bramble_protocol.reasons import NO_WINDOW

SILENT = 3
"""Bins without a reading after which nobody can say when there will be enough of them."""


class NotEnoughData(BrambleError):
    """There are no training windows yet, or too few; the text says what is missing.

    Parameters
    ----------
    ready_at
        When there will be as many as the task wants if readings go on as they do, seconds since 1970-01-01 UTC; None where nobody can say.
    """

    def __init__(self, sentence: str, ready_at: float | None = None) -> None:
        super().__init__(sentence)
        self.ready_at = ready_at


def enough(found: Windows, times: NDArray[np.float64], values: NDArray[np.float64], manifest: Manifest, now: float) -> None:
    """Check that there are as many windows as a task wants.

    Parameters
    ----------
    found
        The windows that there are.
    times, values
        The readings that they were made of, as :func:`bramble_client.learn.windows.windows` takes them.

    Raises
    ------
    NotEnoughData
        If there are too few.
    """
    if len(found) >= manifest.least:
        return
    long = manifest.window + manifest.interface.furthest
    need = f"{long} consecutive bins of {manifest.step_s:g} s, and one reading after them"
    silent = _silent(values, manifest)
    if len(found):
        what = f"{len(found)} of {manifest.least} windows"
    elif len(times) and silent:
        what = f"no reading of {', '.join(silent)}; task {manifest.task} needs {need}"
    else:
        what = f"{len(times)} readings; task {manifest.task} needs {need}"
    ready_at = None if silent else _ready_at(len(found), times, values, manifest, now)
    # on a real clock: a window of a whole day takes a day, and the number says so
    left = "" if ready_at is None else f"; first training in {span(ready_at - now)}"
    raise NotEnoughData(f"{NO_WINDOW}: {what}{left}", ready_at)


def span(seconds: float) -> str:
    """Return a time to wait in words: ``31 min``, or ``26 h`` from two hours on."""
    minutes = max(1, math.ceil(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{math.ceil(minutes / 60)} h"


def _silent(values: NDArray[np.float64], manifest: Manifest) -> Sequence[str]:
    keys = [channel.key for channel in manifest.channels]
    return [key for key, column in zip(keys, values.T, strict=True) if key not in manifest.optional and np.isnan(column).all()]


def _ready_at(found: int, times: NDArray[np.float64], values: NDArray[np.float64], manifest: Manifest, now: float) -> float | None:
    """Return when there will be enough windows if each bin from now on has a reading; None where readings have stopped."""
    step = manifest.step_s
    if not len(times) or now - times.max() > SILENT * step:
        return None
    index = binned(times, values, manifest).index
    ends = np.flatnonzero(np.diff(index) != 1)
    run = len(index) - (int(ends[-1]) + 1 if len(ends) else 0)
    long, missing = manifest.window + manifest.interface.furthest, manifest.least - found
    more = max(0, long - run) + (missing - (1 if run < long else 0)) * manifest.stride
    # the bin that fills now is the next of them, and is whole once a reading comes after it
    return (math.floor(float(times.max()) / step) + more) * step
