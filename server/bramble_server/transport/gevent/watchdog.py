"""Feeds systemd's watchdog for as long as the server is really alive: the engine's loop turns, and the one writer answers."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bramble_protocol import BrambleError
from bramble_protocol.notify import notify, watchdog_interval
from bramble_server.loop import Loop

log = logging.getLogger(__name__)


def start(loop: Loop, answer: Callable[[], object]) -> None:
    """Say that the server is ready, and from then on that it lives, if systemd wants to know.

    Parameters
    ----------
    answer
        Returns once the writer has come to it, and raises ``BrambleError`` when the server stops. Where a
        writer hangs it does not, and systemd starts the server anew.
    """
    notify(READY=1)
    interval = watchdog_interval()
    if interval is None:
        return

    def beat() -> None:
        pause = loop.event()
        while True:
            try:
                answer()
            except BrambleError:
                return
            notify(WATCHDOG=1)
            pause.wait(interval)

    loop.spawn(beat)
