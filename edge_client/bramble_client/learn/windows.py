"""Readings become training windows: means over equal bins of time, then stretches of consecutive bins with their target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.graph import Manifest
from bramble_protocol.interface import Value

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

    inputs: dict[str, NDArray[Any]]
    """What goes into the graph, by name, each of shape (n, bins, channels), in the channels' units."""
    targets: dict[str, NDArray[Any]]
    """What is to be forecast, by name, each of shape (n,) or (n, horizons)."""
    time: NDArray[np.float64]
    """When the manifest's target was measured, seconds since 1970-01-01 UTC, shape (n,), increasing."""

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> Windows:
        inputs, targets = ({name: array[rows] for name, array in part.items()} for part in (self.inputs, self.targets))
        return Windows(inputs, targets, self.time[rows])

    def since(self, t: float | None) -> Windows:
        """Return those whose target was measured after a time; all of them for None."""
        return self if t is None else self[int(np.searchsorted(self.time, t, side="right")) :]

    def parts(self, rows: int) -> Iterator[Windows]:
        """Yield all of them, so many at a time."""
        return (self[start : start + rows] for start in range(0, len(self), rows))


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
    """Build a task's windows from readings, one for each run of ``manifest.window`` consecutive bins whose targets are known.

    Parameters
    ----------
    times
        Seconds since 1970-01-01 UTC, shape (n,), in any order.
    values
        One column a channel of the manifest, shape (n, channels), NaN where a reading failed.
    manifest
        The task's.
    budget
        Most bytes that the inputs may take; older windows are left out.
    """
    face, keys = manifest.interface, [channel.key for channel in manifest.channels]
    bins = bin_means(times, values, manifest.step_s)
    last = np.arange(manifest.window - 1, len(bins.index))
    last = last[bins.index[last] - bins.index[last - manifest.window + 1] == manifest.window - 1]
    ahead = sorted({horizon for target in face.targets for horizon in target.horizons})
    wanted = bins.index[last][:, None] + np.asarray(ahead)
    known = np.isin(wanted, bins.index).all(axis=1)
    most = max(1, budget // face.nbytes)
    last, at = last[known][-most:], np.searchsorted(bins.index, wanted)[known][-most:]

    def taken(part: Value, rows: NDArray[np.int64], columns: int | list[int]) -> NDArray[Any]:
        values = bins.value[:, columns] if part.dtype == "float32" else np.rint(bins.value[:, columns])
        return values.astype(part.dtype)[rows].reshape(-1, *part.shape)

    return Windows(
        inputs={
            part.name: taken(part, last[:, None] + np.arange(1 - part.shape[0], 1), [keys.index(key) for key in part.channels])
            for part in face.inputs
        },
        targets={
            part.name: taken(part, at[:, [ahead.index(horizon) for horizon in part.horizons]], keys.index(part.channel))
            for part in face.targets
        },
        time=bins.time[at[:, ahead.index(manifest.horizon)]],
    )
