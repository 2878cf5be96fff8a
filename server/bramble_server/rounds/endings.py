"""Ends of rounds that the store could not take when they came: kept until it can, so that no round is on record as running for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection

from bramble_server.store import StoreError, meta

log = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds after which it is tried again."""
Write = Callable[[Callable[[Connection], None]], None]
"""Runs something in a transaction."""


class Endings:
    """What is still to be written, oldest first; and after any trouble with the database the next try.

    Parameters
    ----------
    write
        Called with what writes to the store, see :meth:`bramble_server.store.Store.writing`.
    trouble
        Says whether there is trouble with the store.
    """

    def __init__(self, write: Write, trouble: Callable[[], bool]) -> None:
        self._write, self._trouble = write, trouble
        self._left: list[tuple[str, int, Callable[[Connection], None]]] = []
        self._next = 0.0

    def put(self, task: str, number: int, ending: Callable[[Connection], None], now: float) -> None:
        """Write a round's end, now or as soon as it can be."""
        self._left.append((task, number, ending))
        self.retry(now, late=False)
        if self._left:
            log.warning("round %d: its end is not on record yet; it is written as soon as the database takes it", number)

    def retry(self, now: float, late: bool = True) -> None:
        """Write what is left, or else just something, to find out whether the trouble is over."""
        self._next = now + RETRY
        with suppress(StoreError):  # said by the store
            while self._left:
                _, number, ending = self._left[0]
                self._write(ending)
                del self._left[0]
                if late:
                    log.info("round %d: its end is on record now", number)
            if self._trouble():
                self._write(lambda connection: meta.put(connection, "tried", True))

    def forget(self, task: str | None = None) -> None:
        """Drop what is left, or what is of one task: a reset forgets the rounds themselves."""
        self._left = [] if task is None else [item for item in self._left if item[0] != task]

    def due(self, now: float) -> float | None:
        """Return seconds until the next try; ``None`` where there is nothing to try."""
        return max(0.0, self._next - now) if self._left or self._trouble() else None
