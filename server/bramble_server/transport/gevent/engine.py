"""What the server runs on: gevent, without monkey patching, under Flask-SocketIO.

Nothing else in this room names gevent but the two ends of a socket and the threads beside it: another engine can take
its place behind these few functions. Chosen by measurement: threads break at a thousand clients, and gevent-websocket
unmasks in slow Python.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import gevent  # type: ignore[import-untyped]
from flask import Flask
from flask_socketio import SocketIO  # type: ignore[import-untyped]
from gevent import socket, ssl
from gevent.event import Event  # type: ignore[import-untyped]
from gevent.lock import BoundedSemaphore, RLock  # type: ignore[import-untyped]
from gevent.pool import Pool  # type: ignore[import-untyped]

from bramble_protocol.errors import BrambleError
from bramble_server.transport import connections
from bramble_server.transport.arriving import Limits
from bramble_server.transport.gevent.threads import Threads
from bramble_server.transport.gevent.wsgi import Server
from bramble_server.transport.sessions import Sessions

log = logging.getLogger(__name__)
T = TypeVar("T")

BACKLOG = 1024
"""Connections that may wait to be accepted: a whole fleet comes back at once after a restart."""
MESSAGE_MEMORY = 1 << 27
"""Bytes that large messages may take while they arrive."""
PER_ADDRESS = 4096
"""Connections of one address: a fleet behind a router comes from one."""


class EngineError(BrambleError):
    """The server cannot listen; the text names the setting."""


class GeventTransport(Sessions):
    """The port on gevent.

    Parameters
    ----------
    app
        Answers what is no WebSocket.
    message, text, ping_interval, ping_timeout
        See :class:`bramble_server.transport.arriving.Limits`. There are places for an eighth of a gigabyte's worth of the largest
        messages, but never fewer than four.
    """

    def __init__(self, app: Flask, message: int, text: int, ping_interval: float, ping_timeout: float) -> None:
        places = BoundedSemaphore(max(4, MESSAGE_MEMORY // message))
        super().__init__(app, "gevent", Limits(message, text, ping_interval, ping_timeout, places), RLock)

    def loop(self, threads: int) -> GeventLoop:
        """Return what runs work beside the connections."""
        return GeventLoop(self._sio, threads)


class GeventLoop:
    """Runs the server on gevent, see :class:`bramble_server.loop.Loop`.

    Parameters
    ----------
    threads
        How many may block at once. The writer has one of its own, so that no crowd of readers stands in its way.
    """

    def __init__(self, sio: SocketIO, threads: int) -> None:
        self._eio = sio.server.eio
        self._threads = Threads(threads)

    def queue(self) -> Any:
        """Return a queue as in the standard library."""
        return self._eio.create_queue()

    def event(self) -> Any:
        """Return an event as in the standard library."""
        return self._eio.create_event()

    def spawn(self, work: Callable[[], None]) -> Any:
        """Run something beside; return what can be joined."""
        return self._eio.start_background_task(work)

    def offload(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do blocking work (a database, large arrays) in a thread, while heartbeats go on; return its result or raise its error."""
        return self._threads.run(work, *arguments)

    def hand_over(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Do blocking work in a thread, once that is done which was asked of it before, and do not wait."""
        self._threads.hand_over(work, *arguments)

    def rest(self) -> None:
        """Let everybody else who has something to do at this moment do it."""
        gevent.sleep(0)


class Listener:
    """The listening server.

    Parameters
    ----------
    app
        The WSGI application.
    host, port
        Where to listen; port 0 takes a free one.
    complain
        Told when a request or a TLS handshake is not one, see :class:`bramble_server.fleet.rate_limited_log.RateLimitedLog`.
    cert, key
        PEM files to serve TLS with.
    most, per_address
        How many connections there may be at once, see :class:`bramble_server.transport.connections.Connections`.

    Raises
    ------
    EngineError
        If the address cannot be bound, or the certificate not be read.
    """

    def __init__(
        self,
        app: Flask,
        host: str,
        port: int,
        complain: Callable[..., None],
        cert: Path | None = None,
        key: Path | None = None,
        most: int | None = None,
        per_address: int = PER_ADDRESS,
    ) -> None:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            listener = socket.socket(family, kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise EngineError(
                f"--host {host} --port {port}: cannot listen there ({error.strerror}); stop what uses it, or choose another"
            ) from None
        context = {"ssl_context": _tls(cert, key)} if cert else {}
        self.port: int = listener.getsockname()[1]
        self._server = Server(
            listener,
            app,
            log=None,
            error_log=log,
            spawn=Pool(),
            environ={"SERVER_NAME": host},
            connections=connections.Connections(connections.fitting(most), per_address, gevent.sleep),
            complain=complain,
            **context,
        )

    def start(self) -> None:
        """Accept connections from now on."""
        self._server.start()

    def stop(self) -> None:
        """Accept no more, give open requests a second, and hang up on whoever is left."""
        self._server.stop(timeout=1)


def wait_for_signal() -> None:
    """Return at SIGINT or SIGTERM."""
    asked = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, asked.set)
    asked.wait()


def _tls(cert: Path | None, key: Path | None) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(str(cert), str(key))
    except OSError as error:
        reason = error.strerror or error
        raise EngineError(f"--tls-cert {cert} --tls-key {key}: not a certificate with its key ({reason})") from None
    return context
