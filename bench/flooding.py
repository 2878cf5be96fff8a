"""One hostile peer without a token: ``python -m bench.flooding KIND PORT``. Says "flooding" and goes on until it is ended.

Each kind keeps bytes ready for the server at all times, over as few connections as it takes. A connection that is closed on
it is made anew.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable

import bramble_protocol

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GET = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def frame(opcode: int, payload: bytes, final: bool = True) -> bytes:
    """Return a masked frame (RFC 6455, section 5.2) whose mask is zero."""
    first, size = (0x80 if final else 0) | opcode, len(payload)
    if size < 126:
        return struct.pack("!BB4x", first, 0x80 | size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH4x", first, 0x80 | 126, size) + payload
    return struct.pack("!BBQ4x", first, 0x80 | 127, size) + payload


def hello(name: str, **other: object) -> bytes:
    """Return a handshake of Socket.IO."""
    auth = {"protocol": bramble_protocol.VERSION, "client_id": name, "simulated": True, **other}
    return frame(1, b"40" + json.dumps(auth).encode())


class Flood:
    """What the kinds are made of."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def upgraded(self, *frames: bytes) -> socket.socket:
        """Return a WebSocket that has sent these frames."""
        end = self.connect()
        end.sendall(UPGRADE + b"".join(frames))
        return end

    def pour(self, end: socket.socket, block: bytes, read: bool = True) -> None:
        """Send a block again and again; read what comes back, or leave it."""
        if read:
            threading.Thread(target=drain, args=(end,), daemon=True).start()
        while True:
            end.sendall(block)

    def requests(self) -> None:
        """Send pipelined requests and read the answers."""
        self.pour(self.connect(), GET % b"/healthz" * 1000)

    def unread_requests(self) -> None:
        """Send pipelined requests and leave the answers."""
        self.pour(self.connect(), GET % b"/status" * 1000, read=False)

    def pings(self) -> None:
        """Send WebSocket pings."""
        self.pour(self.upgraded(), frame(9, b"") * 10_000)

    def noops(self) -> None:
        """Send Engine.IO packets that mean nothing, before the handshake."""
        self.pour(self.upgraded(), frame(1, b"6") * 10_000)

    def fragments(self) -> None:
        """Send a message in empty parts that never ends."""
        self.pour(self.upgraded(frame(1, b"4", final=False)), frame(0, b"", final=False) * 10_000)

    def health(self) -> None:
        """Shake hands, and send reports."""
        report = frame(1, b'420["health",{"sent":1.0}]')
        self.pour(self.upgraded(hello(f"flood-{os.getpid()}-{threading.get_ident()}")), report * 1000)

    def unread_events(self) -> None:
        """Shake hands, send events that ask for an answer, and read none."""
        event = frame(1, b'420["training_failed",{"round":1,"reason":"x"}]')
        self.pour(self.upgraded(hello(f"deaf-{os.getpid()}-{threading.get_ident()}")), event * 1000, read=False)

    def json(self) -> None:
        """Shake hands, and send eight megabytes of JSON."""
        text = b'42["data_update",[' + b"{},[]," * 1_300_000 + b"1]]"
        self.pour(self.upgraded(hello(f"json-{os.getpid()}-{threading.get_ident()}")), frame(1, text))

    def handshakes(self) -> None:
        """Come with a new name each time, and a handshake that is none."""
        end = self.upgraded(hello(f"stranger-{os.urandom(4).hex()}", channels="\x1b[2J"))
        while end.recv(4096):
            pass

    def resets(self) -> None:
        """Begin a request and break the connection off."""
        end = self.connect()
        end.sendall(b"GET /\x1b[2J HTTP/1.1\r\n")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()

    def garbage(self) -> None:
        """Send what is no request."""
        end = self.connect()
        end.sendall(os.urandom(200) + b"\r\n\r\n")
        while end.recv(4096):
            pass


KINDS: dict[str, Callable[[Flood], None]] = {
    name: kind for name, kind in vars(Flood).items() if name not in ("connect", "upgraded", "pour") and not name.startswith("_")
}
THREADS = 4
"""Connections at a time of each kind."""


def drain(end: socket.socket) -> None:
    """Read until the connection ends."""
    try:
        while end.recv(1 << 16):
            pass
    except OSError:
        pass


def forever(kind: Callable[[Flood], None], port: int) -> None:
    """Flood, again and again."""
    flood = Flood(port)
    while True:
        try:
            kind(flood)
        except OSError:  # it was hung up on
            pass


if __name__ == "__main__":
    for _ in range(THREADS):
        threading.Thread(target=forever, args=(KINDS[sys.argv[1]], int(sys.argv[2])), daemon=True).start()
    print("flooding", flush=True)
    sys.stdin.read()
