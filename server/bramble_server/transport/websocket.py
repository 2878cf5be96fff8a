"""One client's WebSocket, in place of Engine.IO's own: it hands on what the client says and sends what waits for it, over any engine.

What this does that Engine.IO's own does not, each held by a test: a message larger than the socket's buffer is sent whole; a
broadcast is not copied for each receiver, and what waits for one goes out together; a message is let go of once it is handled; a
client is read no faster than its messages are handled, than its share of the loop allows, and than it takes its answers; an oversized
or malformed message is named in the log; whoever moves bytes counts as alive, so that a large model on a slow link does not look like a
dead client, nor the server to it; and however many clients send large messages at once, only so many are in memory.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator
from queue import Empty
from typing import Any

import numpy as np
from engineio.exceptions import SocketIsClosedError, UnknownPacketError  # type: ignore[import-untyped]
from engineio.packet import MESSAGE, NOOP, Packet  # type: ignore[import-untyped]
from numpy.typing import NDArray
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, generate_accept_token

from bramble_protocol.clock import Clock
from bramble_server.metrics import Traffic
from bramble_server.transport import unmasking
from bramble_server.transport.arriving import Arriving, BadMessageError, Limits
from bramble_server.transport.connections import Connection as Entry
from bramble_server.transport.frames import CLOSE, WRITE, frame_header, outgoing

READ, READ_ON = 1 << 16, 1 << 18
"""Bytes that are read at a time, and of a large message once its length is known."""
HELLO_S = 30
"""Seconds that a handshake may take."""
TEXT_UNIT = 1 << 12
"""Characters of JSON that cost another share of the loop: to parse and check them takes longer than to move them."""
UNREAD = 256
"""Packets that may wait for a client to take them before it is heard again."""


class WebSockets:
    """All that are open: Engine.IO's ``websocket`` driver, which makes one for each connection.

    Parameters
    ----------
    limits
        What is taken from a client.
    admitted
        Says whether a client has shaken hands over an Engine.IO session.
    complain
        Told the Engine.IO session and a sentence when a client's own fault ends its connection.
    lock
        Makes a lock that its holder may take again.
    clock
        Says who was silent, or slow, for how long.
    """

    def __init__(
        self,
        limits: Limits,
        admitted: Callable[[str], bool],
        complain: Callable[[str, str], None],
        lock: Callable[[], Any],
        clock: Clock = time,
    ) -> None:
        self.limits, self.admitted, self.complain, self.lock, self.clock = limits, admitted, complain, lock, clock
        self.traffic = Traffic()
        self.open: dict[str, WebSocket] = {}
        """By Engine.IO session."""

    def attach(self, eio: Any) -> None:
        """Have an Engine.IO server use these."""
        eio._async = {**eio._async, "websocket": lambda handler, _: WebSocket(handler, self)}
        eio.max_http_buffer_size = self.limits.message

    def pending(self, eio_sid: str | None) -> int:
        """Return about how many bytes wait for a client to take them."""
        websocket = self.open.get(eio_sid) if eio_sid else None
        return websocket.pending if websocket else 0

    def end(self, eio_sid: str | None) -> None:
        """End a connection whose session is closed, though its client takes nothing."""
        websocket = self.open.get(eio_sid) if eio_sid else None
        if websocket:
            websocket.end()


class WebSocket:
    """One of them.

    Parameters
    ----------
    handler
        A bound method of the Engine.IO socket, which is that of this connection.
    all_of_them
        What it shares with all others.
    """

    def __init__(self, handler: Callable[[WebSocket], Any], all_of_them: WebSockets) -> None:
        self._session: Any = handler.__self__  # type: ignore[attr-defined]
        self._all = all_of_them
        self._limits, self._traffic, self._complain = all_of_them.limits, all_of_them.traffic, all_of_them.complain
        self.pending = 0
        """About how many bytes wait for the client to take them: what was handed over, less what has gone out."""
        self._frames = unmasking.ServerEnd()
        self._events: Iterator[Any] = iter(())
        self._sending = all_of_them.lock()
        self._clock = all_of_them.clock
        self._opened = self._alive = self._spoken = self._clock.monotonic()
        self._arriving = Arriving(self._limits, self._wait_for_place, self._clock)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Upgrade the HTTP connection and serve it until it ends (RFC 6455, section 4.2.2)."""
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
        if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13" or not key:
            start_response("426 Upgrade Required", [("Sec-WebSocket-Version", "13"), ("Content-Type", "application/json")])
            return [b'{"error": "only WebSocket version 13 is spoken here"}']
        self._http = environ["bramble.http"]
        self._http.close_connection = True
        self._socket: Any = self._http.socket
        self._connection: Entry = self._http.connection
        self._socket.settimeout(self._limits.patience)
        accept = generate_accept_token(key.encode("latin-1")).decode()
        upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}"
        try:
            self._socket.sendall(f"HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\n\r\n".encode())
            self._all.open[self._session.sid] = self
            self._session.send = self._counting(self._session.send)
            self._serve()
        except OSError:
            pass
        except Exception as error:  # Engine.IO reads packets outside its own error handling
            self._complain(self._session.sid, f"a message is not an Engine.IO packet ({type(error).__name__}); the connection is closed")
        finally:
            self._hang_up()
            self._all.open.pop(self._session.sid, None)
            self._arriving.give_place_back()
            # Where Engine.IO gave up on a message midway, the client would otherwise stay on its books as a ghost.
            self._session.close(wait=False, abort=True, reason=self._session.server.reason.TRANSPORT_ERROR)
        return []

    def _counting(self, send: Callable[[Packet], None]) -> Callable[[Packet], None]:
        def counted(packet: Packet) -> None:
            if isinstance(packet.data, str | bytes):
                self.pending += len(packet.data)
            send(packet)

        return counted

    def _serve(self) -> None:
        """Hand on what comes, and send what waits beside it, until either ends."""
        session = self._session
        session.connected = session.upgraded = True
        writer = session.server.start_background_task(self._write)
        try:
            self._hand_on()
            session.queue.put(None)  # what waits goes out first
            writer.join()
        finally:  # however it ended, nobody may wait at a socket whose file is closed next: libev would end the process
            self._hang_up()
            session.queue.put(None)
            writer.join()
        session.close(wait=False, abort=True, reason=session.server.reason.TRANSPORT_CLOSE)

    def _hand_on(self) -> None:
        """Hand on messages until there is none."""
        while (message := self.wait()) is not None:
            packet = Packet(MESSAGE, message) if isinstance(message, memoryview) else Packet(encoded_packet=message)
            try:
                self._session.receive(packet)
            except UnknownPacketError:
                pass
            except SocketIsClosedError:
                break
            # nothing of it is kept until the next one comes, which may take minutes
            del message, packet

    def _write(self) -> None:
        """Send the packets that wait, those of one moment together, until there is nothing for longer than a client may be silent."""
        try:
            while packets := self._waiting():
                self._send_raw(*outgoing(packets))
                del packets
        except (Empty, OSError):
            pass
        finally:
            self.close()

    def _waiting(self) -> list[Packet]:
        """Return the packets that wait once there is one, or none at the end, as Engine.IO's ``poll`` does, without an error each time."""
        queue, packets = self._session.queue, []
        packet = queue.get(timeout=self._limits.patience)
        while packet is not None:
            queue.task_done()
            packets.append(packet)
            if not queue.qsize():
                return packets
            packet = queue.get_nowait()
        queue.task_done()
        if packets:
            queue.put(None)  # what comes first goes first
        return packets

    def wait(self) -> str | bytes | memoryview | None:
        """Return the next message, or ``None`` once the connection has ended."""
        try:
            self._check_admission()  # what came last was perhaps the handshake
            if not self._arriving.begun:
                self._arriving.give_place_back()
            return self._next()
        except BadMessageError as error:
            self._complain(self._session.sid, str(error))
            self.close(error.code, str(error))
        except (OSError, LocalProtocolError):  # LocalProtocolError: bytes after goodbyes
            self._hang_up()
        return None

    def _next(self) -> str | bytes | memoryview | None:
        """Read until a message is whole, and no further: it is handled before the next one is looked at."""
        while True:
            for event in self._events:
                # A part of a long frame came with a read of its own, which has been paid.
                self._connection.take(0 if isinstance(event, Message) and not event.frame_finished else 1)
                if isinstance(event, Message):
                    message = self._assemble(event)
                    if message is not None:
                        return message
                elif isinstance(event, Ping):
                    self._send_raw(self._frames.send(event.response()))
                elif isinstance(event, CloseConnection):
                    if self._frames.state is ConnectionState.OPEN:  # not the client's goodbye: bytes that are no frame
                        raise BadMessageError(f"not a WebSocket frame: {event.reason}", CloseReason(event.code))
                    self._send_raw(self._frames.send(event.response()))
                    self._hang_up()
                    return None
            if self._arriving.begun and self._frames.left > READ:
                whole = self._arriving.space(self._frames.left)
                if whole is not None:
                    return self._read_on(whole)
            data = self._receive(self._socket.recv, READ)
            if not data:
                self._hang_up()
                return None
            self._frames.receive_data(data)
            self._events = self._frames.events()

    def _read_on(self, whole: NDArray[np.uint8]) -> memoryview | None:
        """Read the rest of a large message to where it stays."""
        arriving, space = self._arriving, whole.data
        while self._frames.left:
            start = arriving.size
            count = self._receive(self._socket.recv_into, space[start : start + READ_ON])
            if not count:
                self._hang_up()
                return None
            self._frames.take(whole, start, start + count)
            arriving.came(count)
        arriving.done()
        return space

    def close(self, code: int = CloseReason.NORMAL_CLOSURE, reason: str = "") -> None:
        """Say goodbye if the socket takes it at once, and hang up."""
        try:
            if self._sending.acquire(blocking=False):
                try:
                    self._socket.settimeout(0)
                    self._socket.send(
                        frame_header(CLOSE, min(2 + len(reason[:100].encode()), 125)) + struct.pack("!H", code) + reason[:100].encode()
                    )
                finally:
                    self._sending.release()
        except OSError:
            pass
        self._hang_up()

    def end(self) -> None:
        """Hang up while something is on its way. Otherwise the goodbyes go out first, and who sends them hangs up."""
        if self._sending.acquire(blocking=False):
            self._sending.release()
        else:
            self._hang_up()

    def _receive(self, receive: Callable[[Any], Any], how: Any) -> Any:
        """Return what the socket's own function returns for this argument, once there is something or its end."""
        self._await_reader()
        while True:
            try:
                got = receive(how)
            except TimeoutError:
                if self._clock.monotonic() - self._alive < self._limits.patience:
                    continue  # it has been taking what it is being sent
                raise
            self._traffic.received += got if isinstance(got, int) else len(got)
            self._sign_of_life()
            self._check_admission()  # and how long it has taken, should none have come
            self._connection.take(0)
            if self._arriving.begun:
                self._arriving.check_pace()
                self._keep_alive()
            return got

    def _await_reader(self) -> None:
        """Hear no more from a client that does not take its answers: they would pile up here."""
        while self._session.queue.qsize() > UNREAD and not self._session.closed:
            self._connection.rest(0.1)

    def _check_admission(self) -> None:
        """Let nobody stay for long, or send much, who has not been let in."""
        if not self._arriving.admitted:
            if self._all.admitted(self._session.sid):
                self._arriving.admitted = True
                self._connection.admit()
            elif self._clock.monotonic() - self._opened > HELLO_S:
                raise BadMessageError(f"no handshake within {HELLO_S} s", CloseReason.POLICY_VIOLATION)

    def _assemble(self, event: Message[Any]) -> str | bytes | None:
        """Add a part of a message; return the message once it is whole."""
        message = self._arriving.add(event)
        if isinstance(message, str):
            self._connection.take(len(message) / TEXT_UNIT)
            # Engine.IO packets are a digit and data; anything else would break Engine.IO's reading loop.
            if message[:1] not in tuple("0123456"):
                raise BadMessageError("a message is not an Engine.IO packet")
        return message

    def _wait_for_place(self) -> None:
        self._sign_of_life()
        self._keep_alive()

    def _keep_alive(self) -> None:
        """Send an empty packet, now and then, to a client that has been sending for long.

        Its answers to pings queue behind what it sends, so it gets no further pings. It would soon think the server dead, and
        Engine.IO's writer, too, ends a connection over which nothing goes out.
        """
        if self._clock.monotonic() - self._spoken > self._limits.patience / 4:
            self._spoken = self._clock.monotonic()
            self._session.send(Packet(NOOP))

    def _send_raw(self, *parts: bytes) -> None:
        with self._sending:
            for part in parts:
                view = memoryview(part)
                while view:
                    # A part may be all that the socket takes; that it takes any is a sign of life.
                    count = self._socket.send(view[:WRITE])
                    view = view[count:]
                    self._traffic.sent += count
                    self.pending = max(0, self.pending - count)
                    if count:
                        self._sign_of_life()

    def _sign_of_life(self) -> None:
        self._alive = self._clock.monotonic()
        if self._session.last_ping:
            self._session.last_ping = self._clock.time()

    def _hang_up(self) -> None:
        """Wake whoever reads or writes; the HTTP server closes the socket afterwards."""
        self._http.hang_up()
