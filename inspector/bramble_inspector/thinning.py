"""Fewer points for the browser, without losing a peak, a gap or the ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tsdownsample import MinMaxLTTBDownsampler

MAX_POINTS = 500
"""A trace with more takes longer to draw than it is worth: a plot is about 1000 pixels wide."""
_DOWNSAMPLER = MinMaxLTTBDownsampler()  # type: ignore[no-untyped-call]
_GAP = 3.5
"""A hole of this many usual intervals is a gap: the client was away."""

Floats = NDArray[np.float64]


def budget(traces: int) -> int:
    """Points for each of ``traces`` traces, so that a plot of fifty clients is still fluid."""
    return int(np.clip(20_000 // max(traces, 1), 100, MAX_POINTS))


def thin(t: Floats, value: Floats, points: int = MAX_POINTS) -> tuple[list[float], list[float | None]]:
    """Downsample one series for plotting.

    Parameters
    ----------
    t, value
        Increasing times and values, shape (n,). NaN stands for a reading that failed.
    points
        Most readings to keep (MinMaxLTTB: largest triangles among the extremes of each bucket).

    Returns
    -------
    tuple of lists
        Times and values, with a None wherever readings failed or the client was away, so that no line bridges a gap.
    """
    valid = np.isfinite(value)
    # Readings on either side of a gap get different segment numbers, which survive the downsampling
    step = np.diff(t)
    usual = float(np.median(step)) if step.size else 0.0
    breaks = np.concatenate([[False], step > _GAP * usual]) | ~valid
    segment = np.cumsum(breaks)[valid]
    t, value = t[valid], value[valid]
    if t.size > points:
        keep = _DOWNSAMPLER.downsample(np.ascontiguousarray(t), np.ascontiguousarray(value), n_out=points)
        keep = np.asarray(keep, dtype=np.intp)
        t, value, segment = t[keep], value[keep], segment[keep]
    gaps = np.flatnonzero(np.diff(segment)) + 1
    times = np.insert(t, gaps, t[gaps])
    values = np.insert(value, gaps, np.nan)
    return times.tolist(), [None if v != v else v for v in values.tolist()]
