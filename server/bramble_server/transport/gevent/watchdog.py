"""Feeds systemd's watchdog for as long as the server is really alive: the engine's loop turns, and the one writer answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from bramble_protocol import BrambleError
from bramble_protocol.notify import notify, watchdog_interval

log = logging.getLogger(__name__)


class Runtime(Protocol):
    """What the watchdog needs of the engine."""

    def event(self) -> Any:
        """Return an event as in the standard library."""

    def spawn(self, work: Callable[[], None]) -> Any:
        """Run something beside."""


def start(runtime: Runtime, answer: Callable[[], object]) -> None:
    """Say that the server is ready, and from then on that it lives, if systemd wants to know.

    Parameters
    ----------
    answer
        Returns once the writer has come to it, and raises ``BrambleError`` when the server stops. A writer that hangs lets the
        watchdog bite.
    """
    notify(READY=1)
    interval = watchdog_interval()
    if interval is None:
        return

    def beat() -> None:
        pause = runtime.event()
        while True:
            try:
                answer()
            except BrambleError:
                return
            notify(WATCHDOG=1)
            pause.wait(interval)

    runtime.spawn(beat)
