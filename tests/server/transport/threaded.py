"""The port on threads of the standard library: an engine that shares nothing with gevent, to show what the suite is about.

It has a thread for each connection and one for each writer, so it is no engine for a server with a thousand clients.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask

from bramble_protocol.ending import Ending
from bramble_server.transport.arriving import Limits
from bramble_server.transport.connections import Connection, Connections
from bramble_server.transport.sessions import Sessions

T = TypeVar("T")


class ThreadedTransport(Sessions):
    """The port on threads."""

    def __init__(self, app: Flask, message: int, text: int, ping_interval: float, ping_timeout: float) -> None:
        super().__init__(
            app, "threading", Limits(message, text, ping_interval, ping_timeout, threading.BoundedSemaphore(4)), threading.RLock
        )

    def loop(self, threads: int) -> ThreadedLoop:
        """Return what runs work beside the connections."""
        return ThreadedLoop(threads)


class ThreadedLoop:
    """Everything waits in a thread of its own."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads)

    def queue(self) -> Any:
        """Return a queue."""
        return queue.Queue()

    def event(self) -> Any:
        """Return an event."""
        return threading.Event()

    def spawn(self, work: Callable[[], None]) -> Any:
        """Run something beside."""
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def offload(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run something that blocks."""
        return self._pool.submit(work, *arguments).result()


class _Request(BaseHTTPRequestHandler):
    """One connection: a WebSocket's request and nothing else."""

    protocol_version = "HTTP/1.1"
    server: _Server
    entry: Connection

    def do_GET(self) -> None:
        """Hand the request to the application, and with it the socket."""
        url = urlsplit(self.path)
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "0",
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.url_scheme": "http",
            "wsgi.input": self.rfile,
            "wsgi.errors": None,
            "bramble.http": self,
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()},
        }
        self.socket, self.close_connection = self.connection, True
        self.connection = self.entry
        for part in self.server.app(environ, self._start):
            self.wfile.write(part)

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        self.wfile.write("\r\n".join([f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "\r\n"]).encode())
        return self.wfile.write

    def hang_up(self) -> None:
        """Wake whoever reads or writes."""
        try:
            self.request.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


class _Server(ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

    def __init__(self, app: Flask, most: int) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.app, self.connections = app, Connections(most, most, time.sleep)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it ends, if there is a place for it."""

        def hang_up() -> None:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        entry = self.connections.enter(client_address[0], hang_up)
        if entry:
            try:
                type("Request", (_Request,), {"entry": entry})(request, client_address, self)
            finally:
                entry.leave()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: it hung up."""


def serve(app: Flask, most: int, ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM."""
    server = _Server(app, most)
    ending = Ending()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready(server.server_address[1])
    ending.wait()
    server.shutdown()
    server.connections.hang_up()
    until = time.monotonic() + 10
    while server.connections and time.monotonic() < until:
        time.sleep(0.01)
    print(len(server.connections), "are left", flush=True)
