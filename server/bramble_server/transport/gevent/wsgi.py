"""HTTP on the engine: each request is read whole, within a time, before anything is done about it, and whoever hangs up is just gone."""

from __future__ import annotations

import logging
import string
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import quote

import gevent  # type: ignore[import-untyped]
from gevent import pywsgi, socket, ssl
from werkzeug.exceptions import ClientDisconnected

from bramble_server.transport.connections import Connection, Connections

log = logging.getLogger(__name__)

REQUEST_S = 30.0
"""Seconds in which a request must be there, from the end of the one before (or the connection's beginning) to its last byte."""
TAKEN_S = 30
"""Seconds within which a reader takes at least some of its answer, and a TLS handshake is done."""
LINGER_S, LINGER_BYTES = 2, 1 << 20
"""How long, and how much, is read of a body that is refused, so that its sender reads the answer before the connection ends."""
LARGEST_HEADER = 1 << 16
"""Bytes of all header lines together."""
LARGEST_BODY = 1 << 16
"""Bytes of a body that are read beforehand. What is larger is left to the application to refuse, by its length, or to ask for."""
MEGABYTE_S = 30.0
"""Seconds in which each megabyte of a large body must come."""
UNIT = 1 << 13
"""Bytes of a request that cost its connection another share."""
ENDED_S = 5.0
"""Seconds in which a connection ends that was hung up on."""
HANDSHAKE = 4
"""Shares that a TLS handshake costs."""
WRITE = 1 << 18
"""Bytes offered to the socket at a time."""
LINUX_OPTIONS = {
    getattr(socket, name): value
    for name, value in {
        "TCP_USER_TIMEOUT": 30_000,  # milliseconds after which the kernel gives up on a peer that acknowledges nothing
        # Bytes that may wait unsent in the kernel. Else they are megabytes, and a third of them must go before a writer
        # hears that anything moves: over a slow link that takes longer than a client may be silent.
        "TCP_NOTSENT_LOWAT": 1 << 16,
    }.items()
    if hasattr(socket, name)
}
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _TooLongError(ValueError):
    """The header lines of a request are more than anybody needs."""


class _Later:
    """A body that is read when it is asked for."""

    def __init__(self, read: Callable[[int], bytes], length: int) -> None:
        self._read, self._left = read, length

    def read(self, size: int = -1) -> bytes:
        """Return all of it, the first time."""
        length, self._left = self._left, 0
        return self._read(length) if length else b""


class Handler(pywsgi.WSGIHandler):  # type: ignore[misc]
    """One connection: gives the WebSocket its socket, takes a share for each request, bounds how long a peer may stall."""

    def __init__(self, sock: Any, address: Any, server: Server, connection: Connection) -> None:
        super().__init__(sock, address, server)
        self.connection = connection
        self._end = sock  # the base class forgets it when the last request is done
        self.wsgi_input: Any = None
        self.close_connection: bool = False
        self._unread = self._ends = False

    def handle(self) -> None:
        """Serve requests until the connection ends."""
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for option, value in LINUX_OPTIONS.items():
                self.socket.setsockopt(socket.IPPROTO_TCP, option, value)
            self.socket.settimeout(TAKEN_S)
            super().handle()
        except OSError as error:  # it hung up
            log.debug("a connection from %s ended: %r", self.client_address[0], error)

    def hang_up(self) -> None:
        """Wake whoever reads or writes; the socket is closed when the connection is."""
        try:
            socket.socket.shutdown(self._end, socket.SHUT_RDWR)  # of TLS too: it would wait for the peer's goodbye
        except OSError:
            pass

    def handle_one_request(self) -> Any:
        """Serve one request; see the base class for what this returns."""
        self._timer = gevent.Timeout.start_new(REQUEST_S)
        try:
            return super().handle_one_request()
        except gevent.Timeout as timeout:
            if timeout is not self._timer:
                raise
            return ("408", _TOO_LATE) if self.requestline else None
        except OSError as error:
            return self._handle_client_error(error) if isinstance(error, pywsgi._InvalidClientInput) else None
        except Exception as error:  # what the base class makes of a header that is none
            return self._handle_client_error(error)
        finally:
            self._timer.close()
            if self._unread:
                self._linger()

    def MessageClass(self, rfile: Any, *_: Any) -> Any:
        """Read all header lines, of a bounded length together, and parse them."""
        lines = bytearray()
        while True:
            line = rfile.readline(LARGEST_HEADER)
            lines += line
            if len(lines) >= LARGEST_HEADER:
                raise _TooLongError
            if line in (b"\r\n", b"\n", b""):
                break
        self._size = len(lines)
        return super().MessageClass(BytesIO(lines), 0)

    def get_environ(self) -> dict[str, Any]:
        """Return the request's environment, once its body is there and it is this connection's turn."""
        environ: dict[str, Any] = super().get_environ()
        # What is no URI's character counts as the byte that it is, so that it is refused by the name of its parameter.
        environ["QUERY_STRING"] = quote(environ["QUERY_STRING"], string.printable, "latin-1")
        self._read_body(environ)
        self._timer.close()
        self.connection.stirs()
        self.connection.take(1 + self._size / UNIT)
        self.connection.rest(0)  # to answer takes long enough for a turn of everybody else's
        environ["bramble.http"] = self
        return environ

    def _read_body(self, environ: dict[str, Any]) -> None:
        length, chunked = self.content_length or 0, environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        body = b""
        if chunked or 0 < length <= LARGEST_BODY:
            body = self.wsgi_input.read(LARGEST_BODY + 1)
            if len(body) < length:
                raise pywsgi._InvalidClientInput("the body ended early")
            length = len(body)
            environ["CONTENT_LENGTH"] = str(length)
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        self._unread = length > LARGEST_BODY
        self._ends = self.close_connection  # whatever becomes of the body
        self.close_connection = self._ends or self._unread
        self._size += len(body)
        self.wsgi_input = pywsgi.Input(self.rfile, 0)  # nothing is left to discard
        if not self._connection_upgrade_requested():
            later = _Later(self.read_large_body, length) if self._unread and not chunked else None
            environ["wsgi.input"], environ["wsgi.input_terminated"] = later or BytesIO(body), True

    def read_large_body(self, length: int) -> bytes:
        """Read a body that was left to the application; whoever sends it has been let in by then, and still takes his shares."""
        body = bytearray()
        while len(body) < length:
            with gevent.Timeout(MEGABYTE_S, False):
                wanted = min(length, len(body) + LINGER_BYTES)
                while len(body) < wanted and (data := self.rfile.read1(min(UNIT, wanted - len(body)))):
                    body += data
                    self.connection.take(len(data) / UNIT)
            if len(body) < wanted:
                raise ClientDisconnected
        self._unread, self.close_connection = False, self._ends
        return bytes(body)

    def finalize_headers(self) -> None:
        """Complete the answer's headers."""
        super().finalize_headers()
        if self._unread:
            self.response_headers.append((b"Connection", b"close"))

    def _linger(self) -> None:
        with gevent.Timeout(LINGER_S, False):
            left = LINGER_BYTES
            while left > 0 and (data := self.rfile.read1(UNIT)):
                left -= len(data)
                self.connection.take(len(data) / UNIT)

    def _sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:  # each piece has a time, the whole has none: a large answer over a slow link takes as long as it takes
            view = view[self.socket.send(view[:WRITE]) :]
            self.connection.take(0)
        self.response_length += len(data)

    def _handle_client_error(self, ex: Exception) -> Any:
        self.server.complain(self.client_address[0], f"a request is not HTTP ({type(ex).__name__})", address=self.client_address[0])
        return ("431", _TOO_LONG) if isinstance(ex, _TooLongError) else ("400", _BAD)

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        """Log what should not happen, and nothing where a peer is gone or was hung up on."""
        if issubclass(t, OSError | gevent.GreenletExit):
            self.close_connection = True
        else:
            super().handle_error(t, v, tb)

    def _log_error(self, t: Any, v: Any, tb: Any) -> None:
        name, sentence = f"{self.command} {str(self.path).partition('?')[0]}", "a request failed; nothing else is affected"
        self.server.complain(name, sentence, logging.ERROR, address=self.client_address[0], error=v)


class Server(pywsgi.WSGIServer):  # type: ignore[misc]
    """Accepts connections as long as there is a place for them.

    Parameters
    ----------
    connections
        Where they are counted.
    complain
        Told when a request or a TLS handshake is not one, and when there is no place, see
        :class:`bramble_server.fleet.rate_limited_log.RateLimitedLog`.
    """

    max_accept = 32  # at a time; each may push another one out, whose file is closed only afterwards
    backlog = 1024

    def __init__(self, *arguments: Any, connections: Connections, complain: Callable[..., None], **options: Any) -> None:
        self.connections, self.complain = connections, complain
        self._unheard = 0  # accepted, and not heard yet: more are accepted only when these have been
        super().__init__(*arguments, handler_class=Handler, **options)

    def do_read(self) -> Any:
        """Accept a connection; return its socket, address and entry, or nothing."""
        try:
            accepted = self._living() if self._unheard < self.max_accept else None
        except OSError as error:  # no file was left
            self.complain("connections", f"one cannot be accepted ({error.strerror}); it is tried again")
            self.stop_accepting()
            self._timer = self.loop.timer(self.max_delay / 10)
            self._timer.start(self._start_accepting_if_started)
            return None
        if accepted is None:
            return None
        sock, address = accepted

        def hang_up() -> None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

        entry = self.connections.enter(address[0], hang_up)
        if entry is None:
            sock.close()
            table = self.connections
            limits = f"{len(table)} are open, at most {table.most} may be, {table.per_address} of one address"
            sentence = f"its connection is refused: {limits}; see --max-connections and --max-per-address"
            self.complain(address[0], sentence, address=address[0])
            return None
        self._unheard += 1
        return sock, address, entry

    def _living(self) -> Any:
        """Accept the next connection that was not reset in the queue."""
        for _ in range(self.max_accept):
            accepted = super().do_read()
            if not accepted:
                return None
            try:
                accepted[0].getpeername()
            except OSError:
                accepted[0].close()
            else:
                return accepted
        return None

    def stop(self, timeout: float | None = None) -> None:
        """Accept no more, give open requests some seconds, and hang up on whoever is left: each ends by itself then, in good order."""
        self.close()
        self.pool.join(timeout)
        self.connections.hang_up()
        self.pool.join(ENDED_S)
        if self.connections:
            log.warning("%d connections did not end within %g s; they end with the process", len(self.connections), ENDED_S)

    def handle(self, sock: Any, address: Any, entry: Connection) -> None:
        """Serve a connection until it ends."""
        if not self.ssl_enabled:
            self._unheard -= 1
        handler = Handler(sock, address, self, entry)
        entry.hang_up = handler.hang_up  # over TLS the socket is not the one that was accepted
        handler.handle()

    def wrap_socket_and_handle(self, client_socket: Any, address: Any, entry: Connection) -> None:
        """Shake hands over TLS, and serve the connection until it ends."""
        self._unheard -= 1
        entry.take(HANDSHAKE)
        client_socket.settimeout(TAKEN_S)
        try:
            with gevent.Timeout(TAKEN_S, OSError("too slow")):
                wrapped = self.wrap_socket(client_socket, **self.ssl_args)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):  # whoever only looked whether somebody is there
            return
        except OSError as error:
            why = getattr(error, "reason", None) or type(error).__name__
            self.complain(address[0], f"a TLS handshake failed ({why})", address=address[0])
            return
        try:
            self.handle(wrapped, address, entry)
        finally:
            try:
                wrapped.close()
            except OSError:
                pass

    def do_close(self, sock: Any, address: Any, entry: Connection) -> None:
        """Close a connection."""
        sock.close()
        entry.leave()
