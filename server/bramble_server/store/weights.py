"""Large models' weights, each in a file of its own beside an SQLite database, whose rows say which, with their check sums.

SQLite takes a value apart into pages, writes each to its log and from there into its file, and reads all of a value that goes: for a
model of a million parameters that is twenty times a plain file's work. The order is that of any log: a file is on the disk before the row
that names it, and goes after it.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Collection
from pathlib import Path

import numpy as np

from bramble_protocol.layout import Weights
from bramble_server.disk import crc32, sync_folder, write_at
from bramble_server.store.errors import StoreError

log = logging.getLogger(__name__)

LARGE = 1 << 20
"""Bytes of weights from which on they get a file: with less, making, syncing and deleting one takes as long as SQLite's pages do."""
LATELY = 100
"""Files that went last, which a reader may look for whose transaction began before."""
KEY = "bramble_weights"
"""Where a connection's ``info`` has the folder."""
_ENDING = ".f32"


class Folder:
    """The files of one database, each named by its model's round; made, and deleted, by the one writer."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".models")
        self.stale = self._path.is_dir()
        """Whether there may be files that no row names."""
        self._let_go: deque[Path] = deque(maxlen=LATELY)

    def put(self, number: int, weights: Weights) -> None:
        """Write the weights of a round's model, shape (parameters,), to the disk; the row that names them is not committed before.

        Raises
        ------
        StoreError
            If they cannot be written, for instance because the disk is full.
        """
        path, self.stale = self._of(number), True
        try:
            if not self._path.is_dir():
                self._path.mkdir(mode=0o700)
                sync_folder(self._path.parent)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                write_at(file, _data(weights), 0)
                os.fdatasync(file)
            finally:
                os.close(file)
            sync_folder(self._path)
        except OSError as error:
            raise StoreError(f"database: the model of round {number} cannot be written to {path} ({error.strerror})") from error

    def get(self, number: int, check: int) -> Weights | None:
        """Return the weights of a round's model, shape (parameters,); None if it was let go since the reader's transaction began.

        Raises
        ------
        StoreError
            If they are not there as they were written.
        """
        path = self._of(number)
        remedy = "restore a copy of it, or one of the database with its folder of models"
        try:
            weights = np.fromfile(path, "<f4").astype(np.float32, copy=False)
        except OSError as error:
            if path in self._let_go:
                return None
            raise StoreError(f"database: the model of round {number} cannot be read from {path} ({error.strerror}): {remedy}") from error
        if check_sum(weights) != check:
            raise StoreError(f"database: {path} is not the model of round {number} as it was written: {remedy}")
        return weights

    def keep(self, numbers: Collection[int]) -> None:
        """Delete the files of all models but those of these rounds."""
        kept = {self._of(number) for number in numbers}
        for path in set(self._path.glob(f"*{_ENDING}")) - kept:
            self._let_go.append(path)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s, which nobody needs any more, cannot be deleted (%s)", path, error.strerror)
        self.stale = False

    def _of(self, number: int) -> Path:
        return self._path / f"{number}{_ENDING}"


def check_sum(weights: Weights) -> int:
    """Return the CRC-32 of a model's file."""
    return crc32(_data(weights))


def _data(weights: Weights) -> memoryview:
    return np.ascontiguousarray(weights, "<f4").data.cast("B")
