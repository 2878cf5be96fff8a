"""A receipt of what left this client: what, when, how much and for which round, in lines of which each is chained to the last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bramble_client.machine import disk
from bramble_protocol.clock import Clock
from bramble_protocol.errors import BrambleError

log = logging.getLogger(__name__)

FILE = "receipt.jsonl"
OLDER = "receipt.1.jsonl"
"""What was the file until it was full; one is kept."""
FULL = 8 << 20
"""Bytes of a file after which another is begun: some years of a round an hour."""
TOGETHER_S = 3600.0
"""How long messages that belong to no round (reports on the machine, mirrored readings) are counted before a line says so."""
NUMBERED = ("round", "evaluation")
"""What a message that is a line of its own answers."""
NOTHING = "0" * 64
"""What the first line of all follows."""


class Receipt:
    """Writes down what is about to leave, before it does. Any thread may call it.

    A message that answers a round is a line of its own; others of a kind share one an hour. Each line names the SHA-256 of the one before,
    so that one that is missing or was changed shows. It is not even handed the numbers of a message: names of its parts, and its size.

    Parameters
    ----------
    folder
        The client's data folder.
    server
        Address of the server that it goes to.
    """

    def __init__(self, folder: Path, server: str, clock: Clock = time) -> None:
        self._path, self._older, self._server, self._clock = folder / FILE, folder / OLDER, server, clock
        self._lock = threading.Lock()
        self._together: dict[str, dict[str, Any]] = {}
        self._since = 0.0
        self._waiting: list[dict[str, Any]] = []
        """Lines that the disk did not take; they are written when it does."""
        self._refused = False
        self._number, self._last = self._found()

    def leaves(self, event: str, size: int, parts: Sequence[str], about: Mapping[str, int | str]) -> None:
        """Note a message before it is sent.

        Parameters
        ----------
        size
            Of all of it, in bytes.
        parts
            The names of its parts.
        about
            What it answers: of these parts those that say so.
        """
        with self._lock:
            now = self._clock.time()
            if about.keys() & set(NUMBERED):
                self._waiting.append({"at": _moment(now), "event": event, **about, "bytes": size, "parts": sorted(parts)})
            else:
                self._count(event, size, now)
            if self._waiting or self._clock.monotonic() - self._since >= TOGETHER_S:
                self._write()

    def close(self) -> None:
        """Write what is counted and not yet written."""
        with self._lock:
            self._write()

    def _count(self, event: str, size: int, now: float) -> None:
        if not self._together:
            self._since = self._clock.monotonic()
        one = self._together.setdefault(event, {"at": _moment(now), "event": event, "messages": 0, "bytes": 0})
        one["messages"] += 1
        one["bytes"] += size
        one["until"] = _moment(now)

    def _write(self) -> None:
        lines = [*self._together.values(), *self._waiting]
        self._together, self._waiting = {}, []
        if not lines:
            return
        number, last, text = self._number, self._last, []
        for line in lines:
            number += 1
            text.append(json.dumps({"n": number, **line, "to": self._server, "after": last}, separators=(",", ":")))
            last = digest(text[-1])
        try:
            if self._path.exists() and self._path.stat().st_size > FULL:
                self._path.replace(self._older)
            with open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
                file.write("".join(f"{each}\n" for each in text))
        except OSError as error:
            if not self._refused:
                log.error(
                    "%s cannot be written (%s); what leaves meanwhile is written later", self._path, disk.remedy(self._path.parent, error)
                )
            self._refused = True
            self._waiting = lines[-1000:]
            with contextlib.suppress(OSError):  # half a line is no line
                _whole(self._path)
            return
        self._number, self._last, self._refused = number, last, False

    def _found(self) -> tuple[int, str]:
        """Return number and digest of the last whole line, and cut off what a power cut left half."""
        try:
            _whole(self._path)
            for path in (self._path, self._older):
                lines = path.read_text("utf-8").splitlines() if path.exists() else []
                if lines:
                    return int(json.loads(lines[-1])["n"]), digest(lines[-1])
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read on from (%s): a new chain begins", self._path, error)
        return 0, NOTHING


def digest(line: str) -> str:
    """Return what the next line names of one."""
    return hashlib.sha256(line.encode()).hexdigest()


@dataclass(frozen=True)
class Read:
    """What a client's receipt says."""

    lines: list[dict[str, Any]] = field(repr=False)
    broken: str | None
    """The first thing that is wrong with the chain, in words."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.lines)


def read(folder: Path) -> Read:
    """Read a client's receipt, and follow its chain.

    Raises
    ------
    BrambleError
        If there is none, or it cannot be read.
    """
    found: list[dict[str, Any]] = []
    broken: str | None = None
    last: str | None = None
    for path in (folder / OLDER, folder / FILE):
        try:
            texts = path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise BrambleError(f"client receipt: cannot read {path} ({getattr(error, 'strerror', None) or error})") from None
        for at, text in enumerate(texts, start=1):
            try:
                line = json.loads(text)
                number, after = int(line["n"]), str(line["after"])
            except (ValueError, KeyError, TypeError):
                broken = broken or f"line {at} of {path.name} is no line of a receipt"
                last = None
                continue
            expected = found[-1]["n"] + 1 if found else number
            if last is not None and (after != last or number != expected) and not broken:
                missing = f": {number - expected} are missing before it" if number > expected else ""
                broken = f"line {at} of {path.name} does not follow the one before{missing}"
            found.append(line)
            last = digest(text)
    if not found and not broken:
        raise BrambleError(f"client receipt: there is none in {folder}: nothing has left this client yet, or its --data-dir is another")
    return Read(found, broken)


def _whole(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        kept = file.read()
        if kept and not kept.endswith(b"\n"):
            file.truncate(kept.rfind(b"\n") + 1)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
