"""A TCP proxy that can fall silent, as a network does whose cable, access point or power went: nothing is closed, nothing arrives."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Any


class Proxy:
    """Forwards connections on ``port`` to a port of this machine, until it is cut.

    While it is cut, connections stay open and carry nothing, and new ones are accepted and carry nothing either. Mending
    it lets new connections through; those that were open when it was cut stay dead, as their packets are lost.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._cut = False
        self._alive: dict[socket.socket, socket.socket] = {}
        self._dead: list[socket.socket] = []
        self.accepted = 0
        """Connections taken, carried or not."""
        self._wake, self._woken = socket.socketpair()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Let nothing through any more, without closing anything."""
        with self._lock:
            self._cut = True
            self._dead += self._alive
            self._alive.clear()
        self._wake.send(b"x")

    def mend(self) -> None:
        """Carry new connections again."""
        with self._lock:
            self._cut = False

    def drop(self) -> None:
        """Close every connection that is carried, as a restarting router does."""
        with self._lock:
            for end in self._alive:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing = True
        self._wake.send(b"x")
        self._thread.join(10)
        for end in (*self._alive, *self._dead, self._listener, self._wake, self._woken):
            end.close()

    def _run(self) -> None:
        while not self._closing:
            with selectors.DefaultSelector() as selector:
                for end in (self._listener, self._woken, *self._alive):
                    selector.register(end, selectors.EVENT_READ)
                ready: list[Any] = [key.fileobj for key, _ in selector.select()]
            for end in ready:
                if end is self._listener:
                    self._accept()
                elif end is self._woken:
                    self._woken.recv(100)
                else:
                    assert isinstance(end, socket.socket)
                    self._forward(end)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        with self._lock:
            self.accepted += 1
            if self._cut:
                self._dead.append(near)
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                return
            self._alive[near], self._alive[far] = far, near

    def _forward(self, end: socket.socket) -> None:
        with self._lock:
            other = self._alive.get(end)
            if other is None:
                return
            try:
                data = end.recv(1 << 16)
                other.sendall(data)
            except OSError:
                data = b""
            if not data:
                for each in (end, other):
                    self._alive.pop(each, None)
                    each.close()
