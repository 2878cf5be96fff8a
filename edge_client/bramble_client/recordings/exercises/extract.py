"""Make ``people.npz`` from the data set that the PyPI package seglearn carries. SOURCES.md says where it comes from.

Unpack the package, then name the file::

    pip download --no-deps --no-binary :all: seglearn==1.2.5
    python -m bramble_client.recordings.exercises.extract watch_dataset.npy

It is a pickle, which runs whatever is in it: do this where nothing can be lost. The same file gives the same arrays.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_client.recordings.exercises import FILE, STEPS

G = 9.80665
"""m/s² in a g (CODATA's standard acceleration of gravity)."""


def counts(recording: NDArray[np.float64]) -> NDArray[np.int16]:
    """Return a recording in g and rad/s, shape (n, 6), as counts of ``STEPS``."""
    units = np.asarray((G,) * 3 + (np.degrees(1.0),) * 3)
    rounded: NDArray[np.int16] = np.rint(recording * units / np.asarray(STEPS)).astype(np.int16)
    return rounded


def arrays(data: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Return what ``people.npz`` holds: each recording's length, person and exercise, and the changes from count to count of them all."""
    if list(data["X_labels"]) != ["ax", "ay", "az", "wx", "wy", "wz"]:
        raise ValueError(f"expected three axes of acceleration and three of rotation, got {data['X_labels']}")
    order = np.lexsort((data["side"], data["y"], data["subject"]))
    values = np.concatenate([counts(np.asarray(data["X"][i], np.float64)) for i in order])
    changes = np.diff(values.astype(np.int32), axis=0, prepend=0)
    if np.abs(changes).max() > np.iinfo(np.int16).max:
        raise ValueError("a change from one reading to the next does not fit into 16 bits")
    return {
        "lengths": np.asarray([len(data["X"][i]) for i in order], np.int32),
        "subjects": np.asarray(data["subject"], np.int8)[order],
        "labels": np.asarray(data["y"], np.int8)[order],
        "changes": changes.astype(np.int16),
    }


def main(source: Path, out: Path) -> None:
    """Read the pickle, and write the file."""
    made = arrays(np.load(source, allow_pickle=True).item())
    np.savez_compressed(out, lengths=made["lengths"], subjects=made["subjects"], labels=made["labels"], changes=made["changes"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bramble_client.recordings.exercises.extract WATCH_DATASET.NPY")
    main(Path(sys.argv[1]), FILE)
