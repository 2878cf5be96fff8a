"""A receipt of what left this client: what, when, how much and for which round, in lines of which each is chained to the last."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bramble_client.machine import disk
from bramble_protocol import chain
from bramble_protocol.clock import Clock
from bramble_protocol.errors import BrambleError

log = logging.getLogger(__name__)

FILE = "receipt.jsonl"
TOGETHER_S = 3600.0
"""How long messages that belong to no round (reports on the machine, mirrored readings) are counted before a line says so."""
UPDATE = "training_complete"
"""The message that carries an update."""
NUMBERED = ("round", "evaluation")
"""What a message that is a line of its own answers."""
MOST_WAITING = 1000
"""Lines that wait at most for a disk that takes nothing."""


class Receipt:
    """Writes down what is about to leave, before it does. Any thread may call it.

    A message that answers a round is a line of its own; others of a kind share one an hour. The lines are chained, so that one that is
    missing or was changed shows. It is not even handed the numbers of a message: names of its parts, and its size.

    Parameters
    ----------
    folder
        The client's data folder.
    server
        Address of the server that it goes to.
    bounds
        Returns what was done to the update of a round before it leaves: to what length it was shortened, what noise was added, and what
        epsilon this client's updates come to with it.
    """

    def __init__(
        self, folder: Path, server: str, clock: Clock = time, bounds: Callable[[int], Mapping[str, float]] = lambda number: {}
    ) -> None:
        self._path, self._server, self._clock, self._bounds = folder / FILE, server, clock, bounds
        self._lock = threading.Lock()
        self._together: dict[str, dict[str, Any]] = {}
        self._since = 0.0
        self._waiting: list[dict[str, Any]] = []
        """Lines that are to be written, or that the disk did not take."""
        self._refused = False
        self._chain: chain.Chain | None = None  # until there is something to write

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
                number = about.get("round")
                bounds = self._bounds(number) if event == UPDATE and isinstance(number, int) else {}
                self._waiting.append({"at": _moment(now), "event": event, **about, "bytes": size, "parts": sorted(parts), **bounds})
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
        try:
            self._chain = self._chain or self._begun()
            self._chain.append([{**line, "to": self._server} for line in lines])
            self._refused = False
        except OSError as error:
            self._waiting = lines[-MOST_WAITING:]
            if not self._refused:
                log.error(
                    "%s cannot be written (%s); what leaves meanwhile is written later", self._path, disk.remedy(self._path.parent, error)
                )
            self._refused = True

    def _begun(self) -> chain.Chain:
        try:
            return chain.Chain(self._path)
        except BrambleError as error:
            log.warning("%s: what is there was set aside", error)
            self._path.replace(self._path.with_suffix(".unread"))
            return chain.Chain(self._path)


def read(folder: Path) -> chain.Read:
    """Read a client's receipt, and follow its chain.

    Raises
    ------
    BrambleError
        If there is none, or it cannot be read.
    """
    found = chain.read(folder / FILE)
    if not found.lines and not found.broken:
        raise BrambleError(f"client receipt: there is none in {folder}: nothing has left this client yet, or its --data-dir is another")
    return found


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
