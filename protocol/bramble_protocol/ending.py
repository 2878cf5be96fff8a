"""How a process hears that it is to end: SIGINT or SIGTERM, which a service manager and Ctrl-C send."""

from __future__ import annotations

import select
import signal
import socket


class Ending:
    """Takes SIGINT and SIGTERM from now on, to be waited for; to be made in the main thread.

    Python runs a handler in its main thread, once that runs again. One that waits for a lock, a queue or an event may go on to wait when
    the signal came in another thread. So here the signal is a byte on a socket, which ends the wait wherever it came
    (``signal.set_wakeup_fd``).
    """

    def __init__(self) -> None:
        self._heard, self._told = socket.socketpair()
        self._heard.setblocking(False)
        self._told.setblocking(False)
        signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, frame: None)
        self._poll = select.poll()
        self._poll.register(self._heard, select.POLLIN)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait up to so many seconds, or for as long as it takes; return whether somebody asked this process to end."""
        return bool(self._poll.poll(None if seconds is None else 1000 * seconds))
