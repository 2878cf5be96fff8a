"""The page's web server: Cheroot, made to keep its threads for those who have said something.

As it comes, Cheroot does TLS handshakes in the thread that accepts connections, and gives each connection a thread before its first byte:
whoever connects and keeps silent holds up everybody else (https://github.com/cherrypy/cheroot/issues/748).
"""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cheroot import wsgi
from cheroot.server import HTTPConnection
from cheroot.ssl.builtin import BuiltinSSLAdapter

from bramble_inspector.settings import InspectorSettings
from bramble_protocol import BrambleError

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

logger = logging.getLogger(__name__)

THREADS = 16
"""Requests answered at once. A page has one under way at a time, and a few while it is opened."""
PATIENCE_S = 20
"""Seconds that a peer may be silent within a request or an answer, or between two of them."""
IDLE = 300
"""Connections kept open between requests."""
LARGEST_HEADER, LARGEST_BODY = 1 << 16, 1 << 22
"""Bytes of a request. A page tells back what it shows, of thousands of clients too."""


class PageServer(wsgi.Server):
    """Serves an application where the settings say; port 0 has become a real one.

    Raises
    ------
    BrambleError
        If it cannot listen there, or the certificate cannot be used.
    """

    def __init__(self, app: WSGIApplication, settings: InspectorSettings) -> None:
        host, port = settings.host, settings.port
        adapter = None if settings.tls_cert is None or settings.tls_key is None else _Tls(settings.tls_cert, settings.tls_key)
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            # Bound here because Cheroot would try the next family, and say of which only in a text of its own
            self._listener = socket.create_server(address[:2], family=family)
        except OSError as error:
            reason = (error.strerror or str(error)).split(" (")[0]
            raise BrambleError(f"Cannot serve on {host}:{port} ({reason}); choose another --host or --port.") from error
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.port = host, int(self._listener.getsockname()[1])
        super().__init__((host, self.port), app, numthreads=THREADS, request_queue_size=128, timeout=PATIENCE_S, shutdown_timeout=1)
        self.ssl_adapter = adapter
        self.keep_alive_conn_limit = IDLE
        self.max_request_header_size, self.max_request_body_size = LARGEST_HEADER, LARGEST_BODY
        self.ConnectionClass = _Connection

    @property
    def url(self) -> str:
        """Where it serves, as a browser writes it."""
        return f"{'https' if self.ssl_adapter else 'http'}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:
        """Take the socket that listens already."""
        self.socket = self._listener
        return self._listener

    def process_conn(self, conn: Any) -> None:
        """Give a connection a thread; one that was just accepted only when its first byte is there."""
        if conn.heard:
            super().process_conn(conn)
        else:
            conn.heard = True
            self._connections.put(conn)  # type: ignore[attr-defined]

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log what a request made fail; a peer that hangs up, or speaks no HTTP, is not worth a line."""
        logger.log(level if level >= logging.ERROR else logging.DEBUG, "%s", msg, exc_info=traceback)


class _Connection(HTTPConnection):
    heard = False

    def communicate(self) -> bool:
        """Serve a request, after the handshake if there was none yet; return whether another may follow."""
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.version() is None:
            try:
                self.socket.do_handshake()
            except OSError as error:
                logger.debug("no TLS with %s: %s", self.remote_addr, error)
                return False
        return bool(super().communicate())  # type: ignore[no-untyped-call]


class _Tls(BuiltinSSLAdapter):
    def __init__(self, cert: Path, key: Path) -> None:
        try:
            super().__init__(str(cert), str(key))
        except OSError as error:
            reason = error.strerror or error
            raise BrambleError(f"--tls-cert {cert} --tls-key {key}: not a certificate with its key ({reason})") from None
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        """Return the socket with TLS around it, which is yet to be agreed on, and what the application is told."""
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}
