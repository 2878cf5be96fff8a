"""Which class a bin is of: a person's word, a recording's column, or a rule on what was measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest


class NoSuchClass(BrambleError):
    """A label is not among the task's classes."""


def classes(values: NDArray[np.float64], manifest: Manifest) -> NDArray[np.float64]:
    """Return the number of the class of each value of the task's target, shape (n,); NaN for NaN.

    Raises
    ------
    NoSuchClass
        If a value is the number of none.
    """
    kind = manifest.kind
    if kind.edges:
        return np.where(np.isnan(values), np.nan, np.searchsorted(kind.edges, values, side="right").astype(np.float64))
    known = values[~np.isnan(values)]
    if (odd := known[(known != np.rint(known)) | (known < 0) | (known >= len(kind.classes))]).size:
        named = ", ".join(f"{number} {name}" for number, name in enumerate(kind.classes))
        raise NoSuchClass(f"{manifest.target}: {odd[0]:g} is no class of task {manifest.task}; its classes are {named}: correct the labels")
    return values
