"""From a file's bytes to rows of cells: what it was packed and encoded with, what ends its lines and what stands between its cells."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np

from bramble_client.hal.errors import RecordingError
from bramble_client.hal.sim.recordings.cells import Cells

SEPARATORS = ("\t", ";", "|", ",")
BLOCK = 1 << 18
"""Characters that are read at a time: what a file takes in memory does not grow with it."""
QUOTED = 2000
"""Lines that are read at a time where cells stand in quotes, which takes longer."""
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
_NOT_TEXT = {
    b"PK\x03\x04": "a spreadsheet or a zip file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"SQLite format 3": "an SQLite database",
    b"PAR1": "a Parquet file",
    b"{": "JSON",
    b"[": "JSON",
    b"<": "a web page or XML",
}


class Block(NamedTuple):
    """Consecutive rows: the number of each one's line, counted from 1, and the cells of each column."""

    lines: Sequence[int]
    columns: Sequence[Cells]


class Header(NamedTuple):
    """The line that names the columns, and how many lines lie before the first row."""

    line: int
    names: list[str]
    separator: str
    above: int


class Sheet:
    """The rows of one file, which can be read more than once.

    Parameters
    ----------
    path
        The file: CSV text, or that gzipped.

    Raises
    ------
    RecordingError
        If it cannot be read, or is no text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._encoding = self._find_encoding()
        self.header = self._find_header()

    def blocks(self) -> Iterator[Block]:
        """Yield the rows below the header, many at a time, without blank lines and comments, each as wide as the header.

        Raises
        ------
        RecordingError
            If a row has more or fewer cells, or the file turns out to be damaged; the text names line and column.
        """
        line = self.header.above + 1
        try:
            with self._open() as file:
                for _ in range(self.header.above):
                    file.readline()
                while text := file.read(BLOCK) + file.readline():
                    if '"' in text:
                        yield from self._quoted(line, chain(text.splitlines(keepends=True), file))
                        return
                    text = text if text.endswith("\n") else text + "\n"
                    block = self._at_once(line, text)
                    if block is None:
                        rows = enumerate(text.split("\n")[:-1], line)
                        block = self._one_by_one((number, row.split(self.header.separator)) for number, row in rows)
                    if block.lines:
                        yield block
                    line += text.count("\n")
        except _DAMAGE as cause:
            raise RecordingError(f"{self.path} is a damaged gzip file ({cause}); copy it again") from cause

    def _at_once(self, line: int, text: str) -> Block | None:
        """Cut lines that are all alike into columns, some times faster than one by one; None where they are not."""
        width = len(self.header.names)
        data = np.frombuffer(text.encode(), np.uint8)
        ends = np.flatnonzero((data == ord(self.header.separator)) | (data == ord("\n")))
        if "#" in text or len(ends) % width:
            return None
        begin = np.concatenate(([0], ends[:-1] + 1)).reshape(-1, width)
        end = ends.reshape(-1, width)
        breaks = data[end] == ord("\n")
        if breaks[:, :-1].any() or not breaks[:, -1].all() or (begin == end).all(axis=1).any():
            return None
        return Block(range(line, line + len(end)), [Cells(data, begin[:, i], end[:, i]) for i in range(width)])

    def _one_by_one(self, rows: Iterable[tuple[int, list[str]]]) -> Block:
        kept = [(line, self._fitted(line, row)) for line, row in rows if any(map(str.strip, row)) and row[0].lstrip()[:1] != "#"]
        return Block([line for line, _ in kept], [Cells.of(column) for column in zip(*(row for _, row in kept), strict=True)])

    def _quoted(self, line: int, text: Iterable[str]) -> Iterator[Block]:
        reader = csv.reader(text, delimiter=self.header.separator, strict=True, skipinitialspace=True)
        try:
            while rows := [(line - 1 + reader.line_num, row) for row in islice(reader, QUOTED)]:
                block = self._one_by_one(rows)
                if block.lines:
                    yield block
        except csv.Error as cause:
            raise RecordingError(f"{self.path}, line {line - 1 + reader.line_num}, column 1: not CSV ({cause})") from cause

    def _fitted(self, line: int, row: list[str]) -> list[str]:
        width = len(self.header.names)
        while len(row) > width and not row[-1].strip():  # a separator at the end of each line
            row.pop()
        if len(row) == width:
            return row
        if len(row) < width:
            column, remedy = f"column '{self.header.names[len(row)].strip()}'", "complete the line, or take it away"
        elif self.header.separator == ",":
            column, remedy = (
                f"column {width + 1}",
                "write decimals with a point and texts in quotes, or separate the columns with semicolons",
            )
        else:
            column, remedy = f"column {width + 1}", "name every column in the first line"
        what = f"{len(row)} values where the first line names {width} columns"
        raise RecordingError(f"{self.path}, line {line}, {column}: {what}; {remedy}")

    def _open(self) -> IO[str]:
        return io.TextIOWrapper(self._bytes(), self._encoding, errors="replace" if self._encoding == "cp1252" else "strict", newline=None)

    def _bytes(self) -> IO[bytes]:
        with self.path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return cast(IO[bytes], gzip.open(self.path, "rb")) if packed else self.path.open("rb")

    def _find_encoding(self) -> str:
        try:
            with self._bytes() as file:
                start = file.read(4096)
                for magic, kind in _NOT_TEXT.items():
                    if start.removeprefix(codecs.BOM_UTF8).lstrip().startswith(magic):
                        raise RecordingError(f"{self.path} is {kind}; export it as CSV whose first line names time and the channels")
                if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    return "utf-16"
                for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
                    if start[first:200:2].count(0) * 5 > min(len(start), 200):  # of every second byte more than two in five
                        return encoding
                strange = next((byte for byte in start if byte < 9), None)
                if strange is not None:
                    line = start.count(b"\n", 0, start.index(strange)) + 1
                    raise RecordingError(f"{self.path}, line {line}, column 1: not text (a byte {strange:#04x}); export it as CSV")
                return "utf-8-sig" if _is_utf8(start, file) else "cp1252"  # as Windows writes a degree sign
        except _DAMAGE as cause:
            raise RecordingError(f"{self.path} is a damaged gzip file ({cause}); copy it again") from cause
        except OSError as cause:
            raise RecordingError(f"{self.path} cannot be read: {cause.strerror or cause}") from cause

    def _find_header(self) -> Header:
        separator, remark, remark_line = "", "", 0
        with self._open() as file:
            try:
                for line, raw in enumerate(file, 1):
                    text = raw.strip("\n\ufeff")
                    if text[:4].lower() == "sep=" and len(text) == 5:  # Excel's own hint
                        separator = text[4]
                    elif text.lstrip()[:1] == "#":
                        remark, remark_line = text.lstrip("# "), line
                    elif text.strip(" \t;,|"):
                        if remark_line == line - 1 and text.lstrip(" \"'")[:1].isdigit() and remark[:1].isalpha():
                            return self._header(remark_line, remark, separator or _separator(text))  # as numpy names columns
                        return self._header(line, text, separator or _separator(text))
            except UnicodeDecodeError as cause:
                raise RecordingError(f"{self.path} is neither UTF-8 nor whole UTF-16 text; save it as UTF-8") from cause
        raise RecordingError(f"{self.path} is empty; its first line must name the columns: time, then channels such as temperature")

    def _header(self, line: int, text: str, separator: str) -> Header:
        try:
            names = next(csv.reader([text], delimiter=separator, strict=True, skipinitialspace=True))
        except csv.Error as cause:
            raise RecordingError(f"{self.path}, line {line}, column 1: not CSV ({cause})") from cause
        while len(names) > 1 and not names[-1].strip():
            names.pop()
        return Header(line, [name.strip() for name in names], separator, line)


def _separator(text: str) -> str:
    return max(SEPARATORS, key=text.count)


def _is_utf8(start: bytes, rest: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(start)
        while data := rest.read(1 << 20):
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
