"""Whether the database can be used: said once when it cannot, and once when it can again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from bramble_protocol.clock import Clock
from bramble_server.store.errors import StoreError

log = logging.getLogger(__name__)
Way = Literal["read", "write"]


class Trouble:
    """What is the matter with a database, by whether it was to be read or written. A full disk can still be read.

    Parameters
    ----------
    where
        What the log calls the database.
    clock
        Says how long it lasted.
    """

    def __init__(self, where: str, clock: Clock = time) -> None:
        self._where, self._clock = where, clock
        self._matter: dict[Way, str] = {}
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self._matter)

    def __str__(self) -> str:
        return next(iter(self._matter.copy().values()), "")

    @contextmanager
    def noted(self, way: Way) -> Iterator[None]:
        """Note how it goes with the database in a block."""
        try:
            yield
        except StoreError as error:
            if not self._matter:
                self._since = self._clock.monotonic()
                log.error("%s; it is tried again", error)
            self._matter[way] = str(error)
            raise
        if way in self._matter and self._matter.pop(way) and not self._matter:
            log.warning("database %s works again, after %.0f s", self._where, self._clock.monotonic() - self._since)
