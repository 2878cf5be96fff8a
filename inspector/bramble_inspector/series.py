"""Mirrored readings as arrays, kept up to date piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bramble_inspector.thinning import Floats

FORECAST = ".forecast"
"""A channel of this suffix holds a client's forecasts of the channel before it, stamped with the time they are for."""


@dataclass(frozen=True)
class Series:
    """One channel of one client: increasing epoch seconds ``t``, shape (n,), and ``value`` with NaN where a reading failed."""

    unit: str
    t: Floats
    value: Floats

    def after(self, start: float) -> Series:
        """Return the part from ``start`` on."""
        first = int(np.searchsorted(self.t, start))
        return self if first == 0 else Series(self.unit, self.t[first:], self.value[first:])


Readings = dict[str, dict[str, Series]]
"""Client, channel, series."""


def parse(answer: Mapping[str, Mapping[str, Any]]) -> Readings:
    """Turn the answer of ``/data/all`` into series."""
    return {client: {key: _series(column) for key, column in channels.items()} for client, channels in answer.items()}


def merge(old: Readings, new: Readings, keep: int) -> Readings:
    """Return ``old`` with ``new`` added, the newest ``keep`` readings of each channel; a time's later answer wins.

    What brings nothing new returns ``old`` itself, so that nobody redraws for it.
    """
    merged = dict(old)
    for client, channels in new.items():
        known = dict(old.get(client, {}))
        for key, series in channels.items():
            known[key] = _join(known[key], series, keep) if key in known else _last(series, keep)
        if known.keys() != old.get(client, {}).keys() or any(known[key] is not old[client][key] for key in known):
            merged[client] = known
    return merged if any(merged[client] is not old.get(client) for client in merged) else old


def last_times(readings: Readings) -> dict[str, float]:
    """When each client's channels were all known: the earliest of their last times."""
    ends = {client: [s.t[-1] for s in channels.values() if s.t.size] for client, channels in readings.items()}
    return {client: float(min(end)) for client, end in ends.items() if end}


def newest(readings: Readings) -> float | None:
    """Time of the newest measurement of all; forecasts do not count."""
    ends = [s.t[-1] for channels in readings.values() for key, s in channels.items() if s.t.size and not key.endswith(FORECAST)]
    return float(max(ends)) if ends else None


def _series(column: Mapping[str, Any]) -> Series:
    # A reading that failed is null, which numpy makes NaN
    return Series(str(column["unit"]), np.asarray(column["t"], dtype=np.float64), np.asarray(column["value"], dtype=np.float64))


def _join(old: Series, new: Series, keep: int) -> Series:
    if new.t.size == 0:
        return old
    first = int(np.searchsorted(old.t, new.t[0]))
    t, value = np.concatenate([old.t[first:], new.t]), np.concatenate([old.value[first:], new.value])
    # Of equal times the last wins: unique() keeps the first, so look from the end
    _, index = np.unique(t[::-1], return_index=True)
    index = t.size - 1 - index
    t, value = np.concatenate([old.t[:first], t[index]]), np.concatenate([old.value[:first], value[index]])
    if np.array_equal(t, old.t) and np.array_equal(value, old.value, equal_nan=True):
        return old
    return _last(Series(new.unit, t, value), keep)


def _last(series: Series, keep: int) -> Series:
    return series if series.t.size <= keep else Series(series.unit, series.t[-keep:], series.value[-keep:])
