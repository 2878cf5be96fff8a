"""The files of rounds in the data directory: that of the open round, and those that some client's latest update is in."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_server.rounds import roundfile
from bramble_server.rounds.roundfile import Header, Record, RoundFile, RoundFileError
from bramble_server.store.models import LatestUpdate

log = logging.getLogger(__name__)

FOLDER = "rounds"
_ENDING = ".round"
_ZEROS = bytes(1 << 20)


class Archive:
    """Makes, finds and deletes the files, each named by its round's number.

    Parameters
    ----------
    data_dir
        In which they get a folder of their own that only this process's user can read.

    Raises
    ------
    BrambleError
        If that folder cannot be made, or another server has it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER
        self._deleting = threading.Lock()
        self._held = set[int]()
        self.latest: dict[tuple[str, str], int] | None = None
        """For each task and client the round that its last update is of, as the store has it; None where it must be asked again."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._claim = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise BrambleError(f"--data-dir: {self._folder} cannot be made or opened ({error.strerror})") from None
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._claim)
            raise BrambleError(f"--data-dir: {self._folder} is in use by another server: stop that one, or choose another") from None

    def create(self, header: Header) -> RoundFile:
        """Make a round's file; it is held until the round is over."""
        self._held.add(header.round)
        return RoundFile.create(self._path(header.round), header)

    def reopen(self, number: int) -> tuple[RoundFile, list[Record]] | None:
        """Return the file of a round that a former process left open, with its records; None if there is none that can be read."""
        path = self._path(number)
        if not path.exists():
            return None
        try:
            return RoundFile.reopen(path)
        except RoundFileError as error:
            log.error("%s", error)
            return None

    def keep(self, numbers: Collection[int], erase: bool = False) -> None:
        """Delete the files of all rounds but these and those that are held.

        Parameters
        ----------
        erase
            Write over them first.
        """
        kept = {self._path(number) for number in (*numbers, *self._held)}
        for path in sorted(set(self._folder.glob(f"*{_ENDING}")) - kept):
            self._delete(path, erase)

    def hold(self, number: int) -> None:
        """Have the file of an open round, of whatever task, stay."""
        self._held.add(number)

    def release(self, number: int | None = None) -> None:
        """Hold the file of a round that is over no more; without a number, none."""
        self._held = set() if number is None else self._held - {number}

    def discard(self, number: int) -> bool:
        """Delete the file of a round, if there is one; return whether there is none now."""
        self.release(number)
        return self._delete(self._path(number))

    def _delete(self, path: Path, erase: bool = False) -> bool:
        with self._deleting:
            try:
                if erase:
                    _write_over(path)
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s, which nobody needs any more, cannot be deleted (%s)", path, error.strerror)
                return False
        return True

    @contextmanager
    def reading(self, numbers: Callable[[], Iterable[int]]) -> Iterator[Latest]:
        """Open the files of rounds for reading, so that they can be read to the end even if they are deleted meanwhile.

        Parameters
        ----------
        numbers
            Called to learn which. Nothing is deleted from then on until they are open.
        """
        with ExitStack() as stack:
            files: dict[int, tuple[Path, int]] = {}
            with self._deleting:
                for number in numbers():
                    path = self._path(number)
                    with contextlib.suppress(OSError):
                        files[number] = path, os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                        stack.callback(os.close, files[number][1])
            yield Latest(files)

    def close(self) -> None:
        """Unlock the folder, so that another server may use it."""
        os.close(self._claim)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}{_ENDING}"


class Latest:
    """The weights of clients' latest updates, out of the files of their rounds.

    Parameters
    ----------
    files
        Path and descriptor by round.
    """

    def __init__(self, files: dict[int, tuple[Path, int]]) -> None:
        self._files = files
        self._records: dict[int, dict[str, Record]] = {}

    def weights(self, update: LatestUpdate, size: int) -> Weights | None:
        """Return what a client delivered, shape (size,); None where the file is not there or does not have it."""
        if update.round not in self._files:
            return None
        path, file = self._files[update.round]
        if update.round not in self._records:
            found = roundfile.scan(file)
            self._records[update.round] = {record.about["client"]: record for record in found if record.length}
        record = self._records[update.round].get(update.client)
        # A database that was restored from a copy may mean another round by this number.
        if record is None or (record.about["samples"], record.about["metrics"]) != (update.samples, update.metrics):
            return None
        try:
            return roundfile.read(path, file, record, size)
        except RoundFileError as error:
            log.warning("%s", error)
            return None


def _write_over(path: Path) -> None:
    with path.open("r+b") as file:
        rest = os.fstat(file.fileno()).st_size
        while rest > 0:
            rest -= file.write(_ZEROS[:rest])
        file.flush()
        os.fsync(file.fileno())
