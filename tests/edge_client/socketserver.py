"""A small Socket.IO server in the tests' own process."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable
from typing import Any

import socketio  # type: ignore[import-untyped]
from werkzeug.serving import BaseWSGIServer, make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)

Refuse = Callable[[Any], str | None]


def _beside(target: Callable[..., Any], *args: Any, **kwargs: Any) -> threading.Thread:
    """Run what the library runs beside. That the other end is gone when a connection is closed is nobody's fault, and ends the thread."""

    def run() -> None:
        with contextlib.suppress(OSError):
            target(*args, **kwargs)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


class Server:
    """A Socket.IO server that keeps what it hears and answers as told."""

    def __init__(self, port: int = 0, ping: float = 25.0, tls: ssl.SSLContext | None = None) -> None:
        self.sio = socketio.Server(async_mode="threading", ping_interval=ping, ping_timeout=ping, max_http_buffer_size=1 << 26)
        self.sio.eio.start_background_task = _beside
        self.heard: list[tuple[str, Any]] = []
        self.auth: list[Any] = []
        self.origins: list[str | None] = []
        self.sids: list[str] = []
        self.refuse: Refuse = lambda auth: None
        self.greet: Callable[[str], None] = lambda sid: None
        self.answer: Callable[[str, Any], Any] = lambda event, data: {"accepted": True}
        self.sio.on("connect", self._connect)
        self.sio.on("disconnect", lambda sid, reason: self.sids.remove(sid))
        self.sio.on("*", self._event)
        app = socketio.WSGIApp(self.sio)
        self.http: BaseWSGIServer = make_server("127.0.0.1", port, app, threaded=True, ssl_context=tls)
        self.http.daemon_threads = True  # type: ignore[attr-defined]
        self.port = self.http.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        self.auth.append(auth)
        reason = self.refuse(auth)
        if reason is not None:
            raise socketio.exceptions.ConnectionRefusedError(reason)
        self.origins.append(environ.get("HTTP_ORIGIN"))
        self.sids.append(sid)
        self.greet(sid)

    def _event(self, event: str, sid: str, data: Any) -> Any:
        self.heard.append((event, data))
        return self.answer(event, data)

    def stop(self) -> None:
        """End it, if nobody has."""
        if not self._thread.is_alive():
            return
        for connection in list(self.sio.eio.sockets.values()):
            connection.close(wait=False, abort=True)
        self.sio.shutdown()
        self.http.shutdown()
        self._thread.join(10)
        self.http.server_close()
