"""A TLS socket that one thread may read while another writes.

Before Python 3.13 nothing keeps two threads out of OpenSSL's state of one connection, and OpenSSL does not allow it: the
connection of a client that answers round after round broke once in some ten thousand rounds, with nobody at fault.
Here one thread at a time is in OpenSSL, and none of them waits there.
"""

from __future__ import annotations

import selectors
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class TlsSocket(ssl.SSLSocket):
    """What a context makes whose ``sslsocket_class`` it is; behaves as its base does, with the same time-outs."""

    _turn: threading.Lock | None = None
    """There once hands are shaken, before which there is one thread only."""
    _patience: float | None = None

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands; from then on the descriptor itself never blocks, and the waiting is done here."""
        super().do_handshake(block)
        self._patience = super().gettimeout()
        super().settimeout(0.0)
        self._turn = threading.Lock()

    def settimeout(self, value: float | None) -> None:
        """Set how many seconds an operation may wait; None for ever."""
        if self._turn is None:
            super().settimeout(value)
        else:
            self._patience = value

    def gettimeout(self) -> float | None:
        """Return how many seconds an operation may wait."""
        return super().gettimeout() if self._turn is None else self._patience

    def recv(self, *arguments: Any) -> bytes:
        """Return what came, at least one byte; nothing at the end."""
        return self._when_possible(lambda: super(TlsSocket, self).recv(*arguments))

    def recv_into(self, *arguments: Any) -> int:
        """Take what came into a buffer, at least one byte; nothing at the end."""
        return self._when_possible(lambda: super(TlsSocket, self).recv_into(*arguments))

    def send(self, *arguments: Any) -> int:
        """Send some of the bytes; return how many."""
        return self._when_possible(lambda: super(TlsSocket, self).send(*arguments))

    def _when_possible(self, attempt: Callable[[], T]) -> T:
        if self._turn is None:
            return attempt()
        end = None if self._patience is None else time.monotonic() + self._patience
        while True:
            try:
                with self._turn:
                    return attempt()
            except ssl.SSLWantReadError:
                event = selectors.EVENT_READ
            except ssl.SSLWantWriteError:
                event = selectors.EVENT_WRITE
            # Not epoll: it forgets a descriptor that another thread closes, and would wait on for nothing.
            with selectors.PollSelector() as selector:
                selector.register(self, event)
                if not selector.select(None if end is None else max(0.0, end - time.monotonic())):
                    raise TimeoutError("timed out")
