"""A file of lines that only grows, each chained to the one before by its SHA-256: a client's receipt, a server's account of changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bramble_protocol.errors import BrambleError

FULL = 8 << 20
"""Bytes of a file after which another is begun; the one before is kept."""
NOTHING = "0" * 64
"""What the first line of all follows."""


class Chain:
    """Appends lines. The caller serialises access.

    Parameters
    ----------
    path
        The file, such as ``receipt.jsonl``; what it was until it was full is ``receipt.1.jsonl``.

    Raises
    ------
    BrambleError
        If what is there is no such file; a new chain can begin where that was moved away.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._number, self._last = self._found()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrambleError(f"{path} cannot be read on from ({error}); move it away, and a new one begins") from error

    def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write lines, all of them or none.

        Raises
        ------
        OSError
            If the disk does not take them.
        """
        number, last, text = self._number, self._last, []
        for line in lines:
            number += 1
            text.append(json.dumps({"n": number, **line, "after": last}, separators=(",", ":")))
            last = digest(text[-1])
        try:
            if self._path.exists() and self._path.stat().st_size > FULL:
                self._path.replace(older(self._path))
            with open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
                file.write("".join(f"{each}\n" for each in text))
        except OSError:
            with contextlib.suppress(OSError, ValueError):  # whether some of them were taken, the file says
                self._number, self._last = self._found()
            if self._number != number:
                raise
        self._number, self._last = number, last

    def _found(self) -> tuple[int, str]:
        """Return number and digest of the last whole line, and cut off what a power cut left half."""
        with contextlib.suppress(OSError):  # of a disk that gives and takes nothing
            _whole(self._path)
        for path in (self._path, older(self._path)):
            lines = path.read_text("utf-8").splitlines() if path.exists() else []
            if lines:
                return int(json.loads(lines[-1])["n"]), digest(lines[-1])
        return 0, NOTHING


@dataclass(frozen=True)
class Read:
    """What a chain says."""

    lines: list[dict[str, Any]] = field(repr=False)
    broken: str | None
    """The first thing that is wrong with it, in words."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.lines)


def read(path: Path) -> Read:
    """Read a chain from its oldest line that is kept, and follow it.

    Raises
    ------
    BrambleError
        If it cannot be read.
    """
    found: list[dict[str, Any]] = []
    broken: str | None = None
    last: str | None = None
    for file in (older(path), path):
        try:
            texts = file.read_text("utf-8").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise BrambleError(f"cannot read {file} ({getattr(error, 'strerror', None) or error})") from None
        for at, text in enumerate(texts, start=1):
            try:
                line = json.loads(text)
                number, after = int(line["n"]), str(line["after"])
            except (ValueError, KeyError, TypeError):
                broken, last = broken or f"line {at} of {file.name} is no line of it", None
                continue
            expected = found[-1]["n"] + 1 if found else number
            if last is not None and (after != last or number != expected) and not broken:
                missing = f": {number - expected} are missing before it" if number > expected else ""
                broken = f"line {at} of {file.name} does not follow the one before{missing}"
            found.append(line)
            last = digest(text)
    return Read(found, broken)


def digest(line: str) -> str:
    """Return what the next line names of one."""
    return hashlib.sha256(line.encode()).hexdigest()


def older(path: Path) -> Path:
    """Return the file that was this one until it was full."""
    return path.with_suffix(f".1{path.suffix}")


def _whole(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        kept = file.read()
        if kept and not kept.endswith(b"\n"):
            file.truncate(kept.rfind(b"\n") + 1)
