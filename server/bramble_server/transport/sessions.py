"""Clients' sessions over Socket.IO: the port, on whichever engine python-engineio runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from flask import Flask
from flask_socketio import SocketIO  # type: ignore[import-untyped]
from socketio.exceptions import ConnectionRefusedError  # type: ignore[import-untyped]

from bramble_server.transport.arriving import Limits
from bramble_server.transport.packets import QuickPacket
from bramble_server.transport.port import UNANSWERED, NotAdmittedError, Receiver
from bramble_server.transport.websocket import WebSockets

OPTIONS: dict[str, Any] = {
    "transports": ["websocket"],
    "allow_upgrades": False,
    "async_handlers": False,  # one message of a client at a time: a flood of one is its own problem
    "manage_session": False,
    "serializer": QuickPacket,
}
_ATTACHMENTS = re.compile(r"[56](\d+)-")


class Sessions:
    """Fills :class:`bramble_server.transport.port.Transport`, but for what runs beside.

    Parameters
    ----------
    app
        Answers what is no WebSocket.
    mode
        What python-engineio calls the engine. Always named: left to itself it would try others first.
    limits
        What is taken from a client.
    lock
        Makes a lock of the engine's that its holder may take again.
    """

    def __init__(self, app: Flask, mode: str, limits: Limits, lock: Callable[[], Any]) -> None:
        # Their loggers would write messages, and with them readings and tokens, at level INFO.
        quiet = logging.getLogger("bramble_server.socketio")
        quiet.setLevel(logging.ERROR)
        pings = {"ping_interval": limits.ping_interval, "ping_timeout": limits.ping_timeout}
        self._sio = SocketIO(app, async_mode=mode, logger=quiet, engineio_logger=quiet, **pings, **OPTIONS)
        self._server = self._sio.server
        self._websockets = WebSockets(limits, self._is_admitted, self._complain, lock)
        self._websockets.attach(self._server.eio)
        self.traffic = self._websockets.traffic
        self._admitted: dict[str, str] = {}
        """Engine.IO's sessions of those that were let in, and what they are called here."""
        self._receiver: Receiver

    def attach(self, receiver: Receiver) -> None:
        """Tell this receiver what comes."""
        self._receiver = receiver
        # Past Flask-SocketIO's own decorators: these match a URL for each message and leave the failure, whose traceback
        # holds the message, to the garbage collector. With large models that is gigabytes until it comes round.
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("*", self._receive)
        self._deeper = self._server.eio.handlers["message"]
        self._server.eio.on("message", self._message)

    def send(self, sessions: Collection[str], event: str, payload: Mapping[str, Any]) -> None:
        """Send a message to these sessions."""
        if sessions:  # to nobody would mean to everybody
            self._server.emit(event, payload, to=list(sessions))

    def close(self, session: str) -> None:
        """End a session, whether its client listens or not."""
        eio_sid = self._server.manager.eio_sid_from_sid(session, "/")
        self._server.disconnect(session)
        self._close(eio_sid)

    def pending(self, session: str) -> int:
        """Return about how many bytes wait for a client to take them."""
        return self._websockets.pending(self._server.manager.eio_sid_from_sid(session, "/"))

    def _message(self, eio_sid: str, data: Any) -> None:
        """Pass an Engine.IO message on to Socket.IO, and end the connection if it is not one of its packets."""
        try:
            count = _ATTACHMENTS.match(data) if isinstance(data, str) else None
            if count and int(count[1]) > 1:
                raise ValueError("more than one attachment")
            self._deeper(eio_sid, data)
        except Exception as error:
            self._complain(eio_sid, f"a message is not a Socket.IO packet ({type(error).__name__}); the connection is closed")
            self._close(eio_sid)

    def _close(self, eio_sid: str | None) -> None:
        connection = self._server.eio.sockets.get(eio_sid)
        if connection:
            connection.close(wait=False)
            self._websockets.end(eio_sid)

    def _is_admitted(self, eio_sid: str) -> bool:
        return eio_sid in self._admitted

    def _address(self, eio_sid: str) -> str:
        return str(self._server.environ.get(eio_sid, {}).get("REMOTE_ADDR", "?"))

    def _complain(self, eio_sid: str, sentence: str) -> None:
        self._receiver.complain(self._admitted.get(eio_sid), self._address(eio_sid), sentence)

    def _connect(self, sid: str, *details: Any) -> Any:
        if self._server.manager.is_connected(sid, "/"):
            return self._receive("connect", sid, *details)  # an event that a client sent by this name
        environ, auth = details
        try:
            self._receiver.connect(sid, str(environ.get("REMOTE_ADDR", "?")), auth)
        except NotAdmittedError as error:
            raise ConnectionRefusedError(str(error)) from None
        self._admitted[self._server.manager.eio_sid_from_sid(sid, "/")] = sid
        return None

    def _disconnect(self, sid: str, *reason: Any) -> Any:
        if self._server.manager.is_connected(sid, "/"):
            return self._receive("disconnect", sid, *reason)  # an event that a client sent by this name
        self._admitted.pop(self._server.manager.eio_sid_from_sid(sid, "/"), None)
        self._receiver.disconnect(sid, ", ".join(map(str, reason)))
        return None

    def _receive(self, event: str, sid: str, *payload: Any) -> Any:
        answer = self._receiver.receive(sid, event, payload)
        return self._server.not_handled if answer is UNANSWERED else answer
