"""Clients that answer every ``client_update`` at once: ``python -m bench.answering URL COUNT PREFIX [PROTOCOL [ADDRESS]]``.

They speak just enough of WebSocket, Engine.IO and Socket.IO to give a server its own weights back, and so take as little as can be of the
machine that they share with it. Says "connected" once all are. At "report" on its input it says as JSON what happened since the last
report.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import bramble_protocol
from bench.loopback import many_files
from bramble_protocol.features import FEATURES
from bramble_protocol.messages import Channel, Handshake

CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"), Channel("pressure", "hPa"))
AT_A_TIME = 20
"""Handshakes under way at the same moment."""
TEXT, BINARY, CLOSE = 0x81, 0x82, 0x88
UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Seen:
    """What clients of one process saw since the last report."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.accepted = self.disconnects = 0
        self.refused: list[str] = []

    def fresh(self) -> dict[str, Any]:
        """Start to count anew; return what was counted."""
        former = dict(vars(self))
        self.__init__()  # type: ignore[misc]
        return former


class Answering(asyncio.Protocol):
    """One client. The first of a process notes when it was asked."""

    def __init__(self, host: str, auth: dict[str, Any], seen: Seen, first: bool) -> None:
        self._host, self._auth, self._seen, self._first = host, auth, seen, first
        self._data = bytearray()
        self._event: dict[str, Any] = {}
        self._number = 0
        self._transport: Any = None
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self._transport = transport
        self._transport.write(UPGRADE.format(host=self._host).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone."""
        self._seen.disconnects += 1
        if not self.connected.done():
            self.connected.set_exception(exc or ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        """Take what came, frame by frame."""
        self._data += data
        if self._host and b"\r\n\r\n" in self._data:  # the answer to the upgrade
            self._host, self._data = "", self._data.partition(b"\r\n\r\n")[2]
        while not self._host and (found := _frame(self._data)):
            opcode, start, end = found
            payload = bytes(memoryview(self._data)[start:end])
            del self._data[:end]
            if opcode == TEXT:
                self._text(payload.decode())
            elif opcode == BINARY:
                self._answer(payload)

    def _text(self, text: str) -> None:
        if text[0] == "0":
            self._send(TEXT, b"40" + json.dumps(self._auth).encode())
        elif text[0] == "2":
            self._send(TEXT, b"3")
        elif text.startswith("451-"):
            event, self._event = json.loads(text[4:])
            if event != "client_update":
                raise RuntimeError(f"asked for {event}")
        elif text.startswith("43"):
            (reply,) = json.loads(text[text.index("[") :])
            self._seen.accepted += bool(reply["accepted"])
            if not reply["accepted"]:
                self._seen.refused.append(reply["reason"])
        elif text.startswith("40"):
            self.connected.set_result(None)
        elif text.startswith("44"):
            self.connected.set_exception(RuntimeError(text))

    def _answer(self, weights: bytes) -> None:
        if self._first:
            self._seen.asked.append(time.monotonic())
        self._number += 1
        now = time.time()
        answer = {
            **{key: self._event[key] for key in ("round", "layout" if self._auth["protocol"] == 1 else "model", "encoding", "weights")},
            "samples": 100,
            "metrics": {"loss_before": 1.0, "loss_after": 0.5},
            "timing": {"received": now, "train_start": now, "train_end": now},
        }
        self._send(TEXT, f"451-{self._number}{json.dumps(['training_complete', answer])}".encode())
        self._send(BINARY, weights)

    def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        lengths = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0xFE, size) if size < 1 << 16 else None
        # masked, as a client's frames are, with a mask that leaves them as they are
        self._transport.writelines([bytes([kind]) + (lengths or struct.pack("!BQ", 0xFF, size)) + bytes(4), payload])


def _frame(data: bytearray) -> tuple[int, int, int] | None:
    """Return first byte, start and end of the first frame's payload, or None if it is not all there."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size >= 126:
        kind = "!H" if size == 126 else "!Q"
        start += struct.calcsize(kind)
        if len(data) < start:
            return None
        (size,) = struct.unpack_from(kind, data, 2)
    return (data[0], start, start + size) if len(data) >= start + size else None


async def run(
    url: str, count: int, prefix: str, protocol: int = bramble_protocol.VERSION, address: str | None = None,
    client: type[Answering] = Answering, seen: Seen | None = None,
) -> None:  # fmt: skip
    """Connect, then report whenever asked, until the input ends."""
    seen, slots, loop, where = seen or Seen(), asyncio.Semaphore(AT_A_TIME), asyncio.get_running_loop(), urlsplit(url)
    hello = Handshake(protocol, prefix, simulated=True, channels=CHANNELS, version="bench", features=FEATURES if protocol > 1 else ())
    whence = (address, 0) if address else None

    async def connect(index: int) -> None:
        async with slots:
            auth = replace(hello, client_id=f"{prefix}-{index}").to_wire()
            made = await loop.create_connection(
                lambda: client(where.netloc, auth, seen, index == 0), str(where.hostname), int(where.port or 80), local_addr=whence
            )
            await made[1].connected

    await asyncio.gather(*(connect(index) for index in range(count)))
    print("connected", flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(json.dumps(seen.fresh()), flush=True)


if __name__ == "__main__":
    many_files()
    url, count, prefix, protocol, address = [*sys.argv[1:], *(None, None)][:5]
    asyncio.run(run(str(url), int(str(count)), str(prefix), int(protocol or bramble_protocol.VERSION), address))
