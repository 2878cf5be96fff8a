"""python-socketio's client, with those of its habits put right that a fleet cannot live with.

* It hands every packet to a thread of its own, so that a weights attachment can overtake the header it belongs to, and
  one event the other. Here the reading thread delivers them in order; a handler must therefore only hand work on.
* It ends a connection that the server closed by joining the very thread it runs on.
* A connection that dies during the handshake leaves ``connect`` waiting for its whole time-out.
* A time-out while sending ends the writing thread with a traceback.
* It leaves the socket of a connection that fell silent open, and when it closes one waits for a goodbye that may never come.

It is used for one connection and then thrown away (reconnecting is the link's business), so that nothing of a dead
connection, a half-received message for instance, can reach the next.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import struct
import threading
from typing import Any

import websocket
from engineio.client import Client as EngineClient  # type: ignore[import-untyped, unused-ignore]
from socketio.client import Client as SocketClient  # type: ignore[import-untyped, unused-ignore]

from bramble_client.deliver import route, tcp

_silent = logging.getLogger(f"{__name__}.quiet")
# what matters of these libraries' reports is said by the link, in a sentence; at `info` they would print the token
_silent.setLevel(logging.CRITICAL + 1)


class _Engine(EngineClient):  # type: ignore[misc, unused-ignore]
    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        return super()._trigger_event(event, *args, **{**options, "run_async": False})

    def _write_loop(self) -> None:
        try:
            super()._write_loop()
        except websocket.WebSocketException:
            self.write_loop_task = None
            self.ws.shutdown()


class _WebSocket(websocket.WebSocket):
    failure: Exception | None = None
    """What ended it, which the library keeps to itself."""
    _carried = 0

    def carried(self) -> int:
        """Return the bytes that it has sent and received, as :mod:`bramble_client.deliver.tcp` counts them."""
        sock = self.sock
        if sock is not None:
            self._carried = max(self._carried, tcp.carried(sock))
        return self._carried

    def shutdown(self) -> None:
        self.carried()
        super().shutdown()  # type: ignore[no-untyped-call]

    def recv(self) -> Any:
        try:
            return super().recv()
        except Exception as error:
            self.failure = error
            raise

    def close(self, status: int = websocket.STATUS_NORMAL, reason: str | bytes = b"", timeout: float | None = 0) -> None:
        if self.connected:
            with contextlib.suppress(websocket.WebSocketException, OSError):
                self.send(struct.pack("!H", status), websocket.ABNF.OPCODE_CLOSE)
            self.abort()  # type: ignore[no-untyped-call]
            self.connected = False
        self.shutdown()


class Connection(SocketClient):  # type: ignore[misc, unused-ignore]
    """One connection, websocket only.

    Parameters
    ----------
    timeout
        Seconds for the TCP connection, and again for the handshake.
    tls
        Context that verifies the server, for ``https``.
    proxy
        The one HTTP proxy to use, or None.
    """

    def __init__(self, timeout: float, tls: ssl.SSLContext | None, proxy: str | None = None) -> None:
        # no Origin header: only browsers are asked where their page came from
        options = {"suppress_origin": True, "class_": self._make_socket, **route.websocket_options(tls, proxy)}
        self.timeout = timeout
        self.closed = threading.Event()
        self._socket: _WebSocket | None = None
        super().__init__(
            reconnection=False,
            handle_sigint=False,
            logger=_silent,
            engineio_logger=_silent,
            request_timeout=timeout,
            websocket_extra_options=options,
        )

    def open(self, url: str, auth: dict[str, Any]) -> None:
        """Connect and shake hands.

        Raises
        ------
        socketio.exceptions.ConnectionError
            If there is no connection in the end.
        """
        path = route.socketio_path(url)
        self.connect(url, auth=auth, transports=["websocket"], namespaces=["/"], socketio_path=path, wait_timeout=self.timeout)

    @property
    def failure(self) -> Exception | None:
        """The error that ended it; None if it was closed on purpose."""
        return None if self._socket is None else self._socket.failure

    @property
    def carried(self) -> int:
        """The bytes that it has sent and received."""
        return 0 if self._socket is None else self._socket.carried()

    def discard(self) -> None:
        """Close the socket, whatever state the connection is in."""
        self.closed.set()
        if self._socket is not None:
            self._socket.abort()  # type: ignore[no-untyped-call]
            self._socket.shutdown()

    def _make_socket(self, **options: Any) -> _WebSocket:
        self._socket = _WebSocket(**options)
        return self._socket

    def _engineio_client_class(self) -> type[EngineClient]:
        return _Engine

    def _handle_disconnect(self, namespace: str | None) -> None:
        self.eio.disconnect(abort=True, reason=self.reason.SERVER_DISCONNECT)

    def _handle_eio_disconnect(self, reason: str) -> None:
        super()._handle_eio_disconnect(reason)
        self.connected = False
        self.namespaces: dict[str, str] = {}
        self.failed_namespaces = ["/"]
        self._connect_event.set()
        self.closed.set()
