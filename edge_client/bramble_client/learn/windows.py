"""Readings become training windows: means over equal bins of time, then stretches of consecutive bins with their target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.graph import Manifest

BUDGET = 8 << 20
"""Bytes of windows that are built, the newest ones; three years of the climate task. A Pi trains beside other work."""


@dataclass(frozen=True)
class Bins:
    """Means of readings over bins of equal length, only bins in which every channel has one."""

    index: NDArray[np.int64]
    """Number of each bin since 1970-01-01 UTC, shape (n,), increasing, with gaps."""
    time: NDArray[np.float64]
    """Mean time of its readings, seconds since 1970-01-01 UTC, shape (n,)."""
    value: NDArray[np.float64]
    """Mean of each channel, shape (n, channels)."""


@dataclass(frozen=True)
class Windows:
    """What a task trains on: n windows and what came after each."""

    x: NDArray[np.float32]
    """Shape (n, window, channels), in the channels' units."""
    y: NDArray[np.float32]
    """The target, shape (n,)."""
    time: NDArray[np.float64]
    """When the target was measured, seconds since 1970-01-01 UTC, shape (n,), increasing."""

    def __len__(self) -> int:
        return len(self.y)

    def since(self, t: float | None) -> Windows:
        """Return those whose target was measured after a time; all of them for None."""
        first = 0 if t is None else int(np.searchsorted(self.time, t, side="right"))
        return Windows(self.x[first:], self.y[first:], self.time[first:])


def bin_means(times: NDArray[np.float64], values: NDArray[np.float64], step_s: float) -> Bins:
    """Average readings over bins of ``step_s`` seconds.

    A bin in which any channel has no reading is left out, and so is the newest one: it may still be filling.

    Parameters
    ----------
    times
        Seconds since 1970-01-01 UTC, shape (n,), in any order.
    values
        Shape (n, channels), NaN where a reading failed.
    step_s
        Length of a bin in seconds.
    """
    index, member = np.unique(np.floor(times / step_s).astype(np.int64), return_inverse=True)
    count = len(index)
    present = ~np.isnan(values)
    sums = [np.bincount(member, np.where(present[:, c], values[:, c], 0.0), count) for c in range(values.shape[1])]
    numbers = [np.bincount(member, present[:, c], count) for c in range(values.shape[1])]
    total, number = np.stack(sums, 1), np.stack(numbers, 1)
    filling = np.arange(count) == count - 1
    whole = (number > 0).all(axis=1) & ~filling
    time = np.bincount(member, times, count) / np.maximum(np.bincount(member, minlength=count), 1)
    return Bins(index[whole], time[whole], total[whole] / number[whole])


def windows(times: NDArray[np.float64], values: NDArray[np.float64], manifest: Manifest, budget: int = BUDGET) -> Windows:
    """Build a task's windows from readings, one for each run of ``manifest.window`` consecutive bins whose target is known.

    Parameters
    ----------
    times
        Seconds since 1970-01-01 UTC, shape (n,), in any order.
    values
        One column a channel of the manifest, shape (n, channels), NaN where a reading failed.
    manifest
        The task's.
    budget
        Most bytes that ``x`` may take; older windows are left out.
    """
    bins = bin_means(times, values, manifest.step_s)
    length = manifest.window
    last = np.arange(length - 1, len(bins.index))
    last = last[bins.index[last] - bins.index[last - length + 1] == length - 1]
    wanted = bins.index[last] + manifest.horizon
    target = np.searchsorted(bins.index, wanted)
    known = np.isin(wanted, bins.index, assume_unique=True)
    most = max(1, budget // (4 * length * len(manifest.channels)))
    last, target = last[known][-most:], target[known][-most:]
    rows = last[:, None] + np.arange(1 - length, 1)
    column = [channel.key for channel in manifest.channels].index(manifest.target)
    return Windows(
        x=bins.value.astype(np.float32)[rows],
        y=bins.value[target, column].astype(np.float32),
        time=bins.time[target],
    )
