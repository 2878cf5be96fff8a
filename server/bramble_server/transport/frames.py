"""WebSocket frames as a server sends them: not masked, each message in one."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

WRITE = 1 << 18
"""Bytes offered to the socket at a time."""
TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8


def outgoing(packets: Iterable[Any]) -> Iterator[bytes]:
    """Yield the frames of Engine.IO's packets, small ones joined, and the payload of a large one as it is."""
    small: list[bytes] = []
    size = 0
    for packet in packets:
        message = packet.encode()
        payload = message.encode() if isinstance(message, str) else message
        small.append(frame_header(TEXT if isinstance(message, str) else BINARY, len(payload)))
        size += len(payload)
        if size < WRITE:
            small.append(payload)
            continue
        yield b"".join(small)
        yield payload
        small, size = [], 0
    if small:
        yield b"".join(small)


def frame_header(opcode: int, size: int) -> bytes:
    """Return the header of an unmasked final frame (RFC 6455, section 5.2)."""
    if size < 126:
        return struct.pack("!BB", 0x80 | opcode, size)
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, size)
    return struct.pack("!BBQ", 0x80 | opcode, 127, size)
