"""Proxies as networks have them: one that clients name (CONNECT and absolute addresses), and one that stands in front of a server."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from types import TracebackType
from urllib.parse import urlsplit


class HttpProxy:
    """Forwards each connection by its first request, and notes what was asked of it.

    Parameters
    ----------
    target
        Port of the server that a reverse proxy stands in front of; None makes one that clients name.
    prefix
        Path under which the reverse proxy offers the server, for instance ``/bramble``; it takes it away again.
    strip
        Whether it takes the prefix away.
    upgrade
        Whether it passes on ``Upgrade`` and ``Connection``, which a proxy must be told to do.
    """

    def __init__(self, target: int | None = None, prefix: str = "", strip: bool = True, upgrade: bool = True) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            request: socket.socket

            def handle(self) -> None:
                head = _head(self.request)
                if not head:
                    return
                line, _, rest = head.decode("latin-1").partition("\r\n")
                method, address, version = line.split(" ", 2)
                outer.asked.append(f"{method} {address}")
                if method == "CONNECT":
                    host, _, port = address.rpartition(":")
                    with socket.create_connection((host, int(port))) as server:
                        self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                        _carry(self.request, server)
                    return
                if target is None:
                    parts = urlsplit(address)
                    host, port_number = str(parts.hostname), parts.port or 80
                    path = parts.path + (f"?{parts.query}" if parts.query else "")
                else:
                    if not address.startswith(prefix):
                        self.request.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                        return
                    host, port_number, path = "127.0.0.1", target, address.removeprefix(prefix) if strip else address
                if not upgrade:
                    rest = "\r\n".join(row for row in rest.split("\r\n") if not row.lower().startswith(("upgrade:", "connection:")))
                with socket.create_connection((host, port_number)) as server:
                    server.sendall(f"{method} {path or '/'} {version}\r\n{rest}".encode("latin-1"))
                    _carry(self.request, server)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The proxy's own address."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> HttpProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _head(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(1 << 16)
        if not data:
            return b""
        head += data
    return head


def _carry(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_pump, args=(other, one), daemon=True)
    back.start()
    _pump(one, other)
    back.join(30)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
