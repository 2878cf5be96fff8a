"""What a person said of the readings, as a channel: the number of a class for each, where somebody named one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest
from bramble_protocol.kinds import LABEL

logger = logging.getLogger(__name__)

Columns = Callable[[Sequence[str], float | None], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""The recorder's ``columns``: channel keys and a start time to times (n,) and values (n, channels), NaN where missing."""
Labels = Callable[[], Sequence[tuple[float, str]]]
"""Returns what was said, in order of time: from when on, in seconds since 1970-01-01 UTC, and what; empty where that ends. Each holds
until the next."""


class UnknownLabels(BrambleError):
    """All that was said of the readings are other classes than the task's."""


def labelled(columns: Columns, labels: Labels, manifest: Manifest) -> Columns:
    """Return readings with the channel ``label`` filled in, for a task whose classes a person names; the same for any other task.

    Where nobody said anything that is a class of the task's, a recording's own label stays.

    Parameters
    ----------
    columns
        Returns the readings.
    labels
        Returns what was said.

    Raises
    ------
    UnknownLabels
        If something was said, and nothing of it is among the classes. That some of it is not is a line of the log.
    """
    kind = manifest.kind
    if manifest.target != LABEL or not kind.classes or kind.edges:
        return columns
    told = labels()
    if not told:
        return columns
    names = {label for _, label in told if label}
    if unknown := sorted(names - set(kind.classes)):
        sentence = (
            f"labels: {', '.join(map(repr, unknown[:5]))} {'are' if len(unknown) > 1 else 'is'} not among the classes of task "
            f"{manifest.task} ({', '.join(kind.classes)}); name them as it does, by --labels or in the recording"
        )
        if len(unknown) == len(names):
            raise UnknownLabels(sentence)
        logger.warning("%s; what was labelled so is not trained on", sentence)
    starts = np.array([t for t, _ in told], np.float64)
    numbers = np.array([kind.classes.index(label) if label in kind.classes else np.nan for _, label in told])

    def filled(keys: Sequence[str], since: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        times, values = columns(keys, since)
        if LABEL in keys:
            at = np.searchsorted(starts, times, side="right") - 1
            own = np.where(at < 0, np.nan, numbers[at])
            column = list(keys).index(LABEL)
            values[:, column] = np.where(np.isnan(own), values[:, column], own)
        return times, values

    return filled


def said(
    labels: Sequence[tuple[float, str]], times: NDArray[np.float64], values: NDArray[np.float64], manifest: Manifest
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times and values of a recording that says itself what was going on, as :func:`labelled` does."""
    return labelled(lambda keys, since: (times, values), lambda: labels, manifest)([channel.key for channel in manifest.channels], None)
