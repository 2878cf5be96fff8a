"""Readings become training windows: means over equal bins of time, then stretches of consecutive bins with their target."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_client.learn.classes import classes
from bramble_protocol.graph import Manifest
from bramble_protocol.interface import Input, Target

BUDGET = 8 << 20
"""Bytes of windows that are built, the newest ones; three years of the climate task. A Pi trains beside other work."""


@dataclass(frozen=True)
class Bins:
    """Means of readings over bins of equal length, only bins in which every channel has one that must."""

    index: NDArray[np.int64]
    """Number of each bin since 1970-01-01 UTC, shape (n,), increasing, with gaps."""
    time: NDArray[np.float64]
    """Mean time of its readings, seconds since 1970-01-01 UTC, shape (n,)."""
    value: NDArray[np.float64]
    """Mean of each channel, shape (n, channels); NaN where one that may be missing is."""


@dataclass(frozen=True)
class Windows:
    """What a task trains on: n windows and what came after each."""

    inputs: dict[str, NDArray[Any]]
    """What goes into the graph, by name, each of shape (n, bins, channels), in the channels' units."""
    targets: dict[str, NDArray[Any]]
    """What is to be forecast, by name, each of shape (n,) or (n, horizons); or, of a task that
    reconstructs, what is a known fault."""
    time: NDArray[np.float64]
    """When the manifest's target was measured, else the window's last bin, seconds since 1970-01-01 UTC, shape (n,), increasing."""

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
        if 0 < len(self) <= rows:  # a slice takes its time, too
            yield self
            return
        yield from (self[start : start + rows] for start in range(0, len(self), rows))


def bin_means(times: NDArray[np.float64], values: NDArray[np.float64], step_s: float, optional: Collection[int] = ()) -> Bins:
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
    optional
        Columns that no bin must have a reading of.
    """
    index, member = np.unique(np.floor(times / step_s).astype(np.int64), return_inverse=True)
    count = len(index)
    present = ~np.isnan(values)
    sums = [np.bincount(member, np.where(present[:, c], values[:, c], 0.0), count) for c in range(values.shape[1])]
    numbers = [np.bincount(member, present[:, c], count) for c in range(values.shape[1])]
    total, number = np.stack(sums, 1), np.stack(numbers, 1)
    filling = np.arange(count) == count - 1
    must = [column for column in range(values.shape[1]) if column not in optional]
    whole = (number[:, must] > 0).all(axis=1) & ~filling
    time = np.bincount(member, times, count) / np.maximum(np.bincount(member, minlength=count), 1)
    number = np.where(number[whole] > 0, number[whole], np.nan)
    return Bins(index[whole], time[whole], total[whole] / number)


def windows(
    times: NDArray[np.float64], values: NDArray[np.float64], manifest: Manifest, budget: int = BUDGET, open_ended: bool = False
) -> Windows:
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
    open_ended
        Whether nothing need be known of what comes after a window, or is to be: for whoever asks the model. The windows then have no
        targets, and the time of their own last bins.
    """
    face, keys = manifest.interface, [channel.key for channel in manifest.channels]
    bins = binned(times, values, manifest)
    last = np.arange(manifest.window - 1, len(bins.index))
    last = last[bins.index[last] - bins.index[last - manifest.window + 1] == manifest.window - 1]
    last = last[bins.index[last] % manifest.stride == 0]
    horizon, targets = (0, ()) if open_ended else (manifest.horizon, face.targets)
    ahead = sorted({each for target in targets for each in target.horizons} | {horizon})
    wanted = bins.index[last][:, None] + np.asarray(ahead)
    known = np.isin(wanted, bins.index).all(axis=1)
    last, at = last[known], np.searchsorted(bins.index, wanted)[known]
    if manifest.kind.classes and not open_ended:
        one = _of_one_class(manifest, bins.value[:, keys.index(manifest.target)], last, at[:, ahead.index(horizon)])
        last, at = last[one], at[one]
    most = max(1, budget // face.nbytes)
    last, at = last[-most:], at[-most:]

    def taken(part: Input | Target, rows: NDArray[np.int64], columns: int | list[int]) -> NDArray[Any]:
        values = bins.value[:, columns]
        values = (~np.isnan(values)).astype(np.float64) if part.mask else np.nan_to_num(values)
        return (values if part.dtype == "float32" else np.rint(values)).astype(part.dtype)[rows].reshape(-1, *part.shape)

    return Windows(
        inputs={
            part.name: taken(part, last[:, None] + np.arange(1 - part.shape[0], 1), [keys.index(key) for key in part.channels])
            for part in face.inputs
        },
        targets={
            part.name: taken(part, at[:, [ahead.index(horizon) for horizon in part.horizons]], keys.index(part.channel)) for part in targets
        },
        time=bins.time[at[:, ahead.index(horizon)]],
    )


def binned(times: NDArray[np.float64], values: NDArray[np.float64], manifest: Manifest) -> Bins:
    """Return the bins of a task: with all its channels but the optional ones, and the class of each in place of what it is told by."""
    keys, optional = [channel.key for channel in manifest.channels], set(manifest.optional)
    if not manifest.kind.classes:
        return bin_means(times, values, manifest.step_s, [keys.index(key) for key in optional])
    if not any(manifest.target in part.channels for part in manifest.interface.inputs):
        optional.add(manifest.target)  # nobody need have said anything for a window to be there
    column = keys.index(manifest.target)
    told = values[:, column]
    # the mean of two classes is a third, so their squares say where there are several in one bin
    bins = bin_means(times, np.column_stack([values, told**2]), manifest.step_s, [len(keys), *map(keys.index, optional)])
    value, square = bins.value[:, :-1].copy(), bins.value[:, -1]
    mixed = np.abs(square - value[:, column] ** 2) > 1e-6
    value[:, column] = classes(np.where(mixed & (not manifest.kind.edges), np.nan, value[:, column]), manifest)
    return Bins(bins.index, bins.time, value)


def _of_one_class(manifest: Manifest, found: NDArray[np.float64], last: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which windows have a class; where it is that of now, it is that of all their bins."""
    if manifest.horizon:
        return ~np.isnan(found[at])
    changes = np.concatenate([[0], np.cumsum(found[1:] != found[:-1])])  # NaN differs from all, itself too
    steady: NDArray[np.bool_] = changes[last] == changes[last - manifest.window + 1]
    return ~np.isnan(found[last]) & steady
