"""The file of one round: what its clients delivered and what became of them, on the disk before anybody hears that it was taken.

Records are appended as things happen and never changed. Each has a head with lengths and check sums, a JSON object, and, for an
update, the weights as float32 and behind them, likewise, the vectors that came with them, which the object names as ``sections``. A
power cut may tear what was not synced: such a record is none, and what comes next takes its place.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_server.disk import crc32, sync_folder, write_at

FORMAT, LATER = 1, 2
"""Of the header: as release 0.1 has it, and where clients are under way, which that would not understand."""
_LENGTHS, _CHECKS = struct.Struct("<4sIQ"), struct.Struct("<II")
_HEAD = _LENGTHS.size + _CHECKS.size
_MAGIC = b"bram"
_PIECE = 1 << 20
"""Bytes read at a time to see whether a record is whole."""
_SMALL = 1 << 16
"""Bytes up to which it costs less to copy vectors than to write each by itself."""


class RoundFileError(BrambleError):
    """The file of a round could not be made, written or read back."""


class UnderWay(NamedTuple):
    """What a client is at that was asked in an earlier round."""

    round: int
    staleness: int
    """How many rounds of the task had ended since, when this one opened."""
    sent: float | None
    """When it was asked."""


@dataclass(frozen=True)
class Header:
    """What a round was opened with: the first record of its file. Times are seconds since 1970 UTC."""

    round: int
    graph: str
    """Digest of the task's graph."""
    mode: str
    size: int
    """Parameters of the model."""
    clients: tuple[str, ...]
    started: float
    deadline: float
    under_way: Mapping[str, UnderWay] = field(default_factory=dict)
    """Clients that take part and were asked in an earlier round."""
    enough: int = 0
    """Updates with which it is over; 0: it waits for everybody."""
    able: int = 0
    """How many could take part, where each was asked by a coin of its own; 0 where none was."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        about = dict(vars(self))
        later = {name: told for name in ("under_way", "able") if (told := about.pop(name))}
        return {"format": LATER if later else FORMAT, **about, **later}

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> Header:
        """Read what :meth:`to_json` wrote."""
        under_way = {client: UnderWay(*told) for client, told in about.pop("under_way", {}).items()}
        return cls(**{**about, "clients": tuple(about["clients"])}, under_way=under_way)

    @property
    def seconds(self) -> float:
        """How long it may take: what its clients were told, to the bit."""
        return round(self.deadline - self.started, 6)


@dataclass(frozen=True)
class Record:
    """Something that is in the file."""

    about: Mapping[str, Any]
    start: int
    """Where its vectors begin."""
    length: int
    """Bytes that they take; none for what is no update."""
    check: int

    @property
    def sections(self) -> tuple[str, ...]:
        """Names of the vectors that follow the weights."""
        return tuple(self.about.get("sections", ()))


class RoundFile:
    """An open round's file: appended to by one thread, which also reads it.

    Parameters
    ----------
    path
        Of a file that is there.
    file
        Its descriptor, which is closed with this object.
    end
        Where the next record begins.
    """

    def __init__(self, path: Path, file: int, header: Header, end: int = 0) -> None:
        self.path, self.header = path, header
        self._file, self._end, self._synced = file, end, end
        self._named = False

    @classmethod
    def create(cls, path: Path, header: Header) -> RoundFile:
        """Make a file that only this process's user can read, in place of any of this name.

        It is on the disk with the first sync; before that it holds nothing that anybody was told is kept.

        Raises
        ------
        RoundFileError
            If it cannot be made.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            try:
                file = os.open(path, flags, 0o600)
            except FileExistsError:
                path.unlink()
                file = os.open(path, flags, 0o600)
        except OSError as error:
            raise RoundFileError(f"round file: {path} cannot be made ({error.strerror})") from error
        made = cls(path, file, header)
        try:
            made.append(header.to_json())
        except RoundFileError:
            made.close()
            path.unlink(missing_ok=True)
            raise
        return made

    @classmethod
    def reopen(cls, path: Path) -> tuple[RoundFile, list[Record]]:
        """Go on with a file that a former process left; what it has not written whole is cut off.

        Returns
        -------
        tuple
            The file, and its records after the header in their order.

        Raises
        ------
        RoundFileError
            If it cannot be read, or does not begin with a header of this format.
        """
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise RoundFileError(f"round file: {path} cannot be opened ({error.strerror})") from error
        try:
            found = [record for record in scan(file) if _whole(file, record)]
            about = dict(found[0].about) if found else {}
            if about.pop("format", None) not in (FORMAT, LATER):
                raise RoundFileError(f"round file: {path} does not begin as one of this version")
            header = Header.from_json(about)
            end = found[-1].start + found[-1].length
            os.ftruncate(file, end)
        except OSError as error:
            os.close(file)
            raise RoundFileError(f"round file: {path} cannot be read ({error.strerror})") from error
        except BaseException:
            os.close(file)
            raise
        return cls(path, file, header, end), found[1:]

    def append(self, about: Mapping[str, Any], *vectors: Weights) -> Record:
        """Write a record behind the others; it is sure to stay there only after :meth:`sync`.

        Parameters
        ----------
        about
            What it says, as JSON can hold it.
        vectors
            For an update its weights, and those that ``about`` names as its ``sections``; each of one length.

        Raises
        ------
        RoundFileError
            If it cannot be written, for instance because the disk is full; those before are as they were.
        """
        text = json.dumps(about).encode()
        parts = [np.ascontiguousarray(vector, "<f4").data.cast("B") for vector in vectors]
        length, check = sum(map(len, parts)), 0
        for part in parts:
            check = crc32(part, check)
        lengths = _LENGTHS.pack(_MAGIC, len(text), length)
        head = lengths + _CHECKS.pack(crc32(lengths + text), check) + text
        start, at = self._end + len(head), self._end
        try:
            pieces: list[bytes | memoryview] = [head, *parts] if length > _SMALL else [b"".join((head, *parts))]
            for piece in pieces:
                write_at(self._file, piece, at)
                at += len(piece)
        except OSError as error:
            self._cut(self._end)
            raise RoundFileError(f"round file: {_named(about)} could not be put aside ({error.strerror})") from error
        self._end = at
        return Record(about, start, length, check)

    @property
    def size(self) -> int:
        """Bytes that are in it."""
        return self._end

    def sync(self) -> None:
        """Return once everything that was appended survives a power cut.

        Raises
        ------
        RoundFileError
            If the disk refuses; what was not synced before is then gone.
        """
        try:
            os.fdatasync(self._file)
            if not self._named:
                sync_folder(self.path.parent)
                self._named = True
        except OSError as error:
            # Tried again, a sync may succeed without having written what it failed to write before.
            self._cut(self._synced)
            raise RoundFileError(f"round file: what came could not be put aside ({error.strerror})") from error
        self._synced = self._end

    def read(self, record: Record, vector: Weights, section: str | None = None, start: int = 0) -> None:
        """Fill an array, float32, with a record's weights, or with one of its sections, from one of its numbers on.

        Raises
        ------
        RoundFileError
            If they cannot be read back.
        """
        skipped = 0 if section is None else 1 + record.sections.index(section)
        _read(self._file, record, vector, self.path, 4 * (skipped * self.header.size + start))

    def close(self) -> None:
        """Let go of the file; it stays on the disk."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _cut(self, end: int) -> None:
        self._end = end
        try:
            os.ftruncate(self._file, end)
        except OSError:  # then it is written over, or is no whole record
            pass


def scan(file: int) -> Iterator[Record]:
    """Yield the records of a file up to the first whose head or JSON is not whole; weights are not looked at."""
    start, size = 0, os.fstat(file).st_size
    while len(head := os.pread(file, _HEAD, start)) == _HEAD:
        magic, length, weights = _LENGTHS.unpack(head[: _LENGTHS.size])
        of_text, of_weights = _CHECKS.unpack(head[_LENGTHS.size :])
        text_at = start + _HEAD
        start = text_at + length + weights
        if magic != _MAGIC or start > size:
            return
        text = os.pread(file, length, text_at)
        if crc32(head[: _LENGTHS.size] + text) != of_text:
            return
        yield Record(json.loads(text), text_at + length, weights, of_weights)


def read(path: Path, file: int, record: Record, size: int) -> Weights:
    """Return the weights of a record, shape (size,), of a file that is not open for writing here.

    Raises
    ------
    RoundFileError
        If they are not there, damaged or of another length.
    """
    if record.length != 4 * size * (1 + len(record.sections)) or not _whole(file, record):
        raise RoundFileError(f"round file: {_named(record.about)} in {path} is damaged")
    weights = np.empty(size, np.float32)
    _read(file, record, weights, path)
    return weights


def _read(file: int, record: Record, vector: Weights, path: Path, skipped: int = 0) -> None:
    space, at = vector.data.cast("B"), record.start + skipped
    while space:
        try:
            count = os.preadv(file, [space], at)
        except OSError as error:
            raise RoundFileError(f"round file: {_named(record.about)} in {path} cannot be read back ({error.strerror})") from error
        if not count:
            raise RoundFileError(f"round file: {_named(record.about)} in {path} cannot be read back")
        space, at = space[count:], at + count


def _whole(file: int, record: Record) -> bool:
    check, end = 0, record.start + record.length
    for start in range(record.start, end, _PIECE):
        check = crc32(os.pread(file, min(_PIECE, end - start), start), check)
    return check == record.check


def _named(about: Mapping[str, Any]) -> str:
    return f"the update of {about['client']}" if "client" in about else "its header"
