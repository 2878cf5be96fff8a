"""What comes over a WebSocket means byte for byte what it means to wsproto alone, however it is cut and whatever is wrong with it."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection
from wsproto.frame_protocol import XorMaskerSimple

from bramble_server.transport import unmasking
from tests.examples import examples

BOUNDARIES = (0, 1, 2, 3, 4, 5, 125, 126, 127, 1023, 1024, 1025, 1027, 4099, 65_535, 65_536, 65_539, 200_001)
CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9


@dataclass(frozen=True)
class Frame:
    """A client's frame, right or wrong."""

    opcode: int = BINARY
    payload: bytes = b""
    final: bool = True
    reserved: int = 0
    key: bytes | None = b"\x01\x80\xff\x7f"
    claimed: int | None = None
    """The length that its header says, where that is another."""
    wide: bool = False
    """Whether the length takes eight bytes, however short it is."""

    def __bytes__(self) -> bytes:
        size, mask = len(self.payload) if self.claimed is None else self.claimed, 0x80 if self.key else 0
        first = bytes([0x80 * self.final | self.reserved << 4 | self.opcode])
        if self.wide or size >= 1 << 16:
            head = first + bytes([mask | 127]) + struct.pack("!Q", size)
        else:
            head = first + (bytes([mask | size]) if size < 126 else bytes([mask | 126]) + struct.pack("!H", size))
        if not self.key:
            return head + self.payload
        return head + self.key + bytes(byte ^ self.key[index % 4] for index, byte in enumerate(self.payload))


def heard(connection: Connection, pieces: list[bytes]) -> list[Any]:
    """Return all that a connection makes of what came, and its state at the end."""
    found: list[Any] = []
    for piece in pieces:
        if connection.state is not ConnectionState.OPEN:
            break
        try:
            connection.receive_data(piece)
            found += connection.events()
        except Exception as error:  # the same one is asked of both
            found.append(repr(error))
            break
        if found and isinstance(found[-1], CloseConnection):
            break
    return [*found, connection.state]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut bytes into pieces of these sizes, again and again."""
    pieces, start, turn = [], 0, 0
    while start < len(data):
        pieces.append(data[start : start + sizes[turn % len(sizes)]])
        start, turn = start + len(pieces[-1]), turn + 1
    return pieces


def assert_alike(data: bytes, sizes: list[int]) -> list[Any]:
    pieces = cut(data, sizes)
    ours = heard(unmasking.ServerEnd(), pieces)
    assert ours == heard(Connection(ConnectionType.SERVER), pieces)
    return ours


payloads = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    st.tuples(st.sampled_from(BOUNDARIES), st.binary(min_size=1, max_size=9)).map(lambda drawn: (drawn[1] * drawn[0])[: drawn[0]]),
)
frames = st.builds(
    Frame,
    opcode=st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, 0xA, 0x3, 0xF]),
    payload=payloads,
    final=st.booleans(),
    reserved=st.sampled_from([0, 0, 0, 0, 1, 4, 7]),
    key=st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.none()),
    claimed=st.sampled_from([None, None, None, None, 0, 126, 65_536, 1 << 63, (1 << 63) - 1]),
    wide=st.sampled_from([False, False, False, True]),
)
wholes = st.lists(payloads, min_size=1, max_size=4).map(
    lambda parts: [
        Frame(BINARY if not index else CONTINUATION, part, final=index == len(parts) - 1, key=os.urandom(4))
        for index, part in enumerate(parts)
    ]
)
sizes = st.lists(st.one_of(st.integers(1, 9), st.sampled_from([1021, 1 << 12, 1 << 16, 1 << 20])), min_size=1, max_size=5)


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@given(sent=st.lists(st.one_of(frames.map(lambda frame: [frame]), wholes), min_size=1, max_size=4), sizes=sizes)
@example([[Frame(TEXT, b"\xc3", final=False), Frame(CONTINUATION, b"\x28")]], [1])
@example([[Frame(PING, b"x", final=False)]], [1 << 16])
@example([[Frame(claimed=1 << 63)]], [1 << 16])
def test_any_frames_in_any_pieces_are_heard_as_wsproto_alone_hears_them(sent: list[list[Frame]], sizes: list[int]) -> None:
    assert_alike(b"".join(bytes(frame) for group in sent for frame in group), [max(size, 64) for size in sizes])
    assert_alike(b"".join(bytes(frame) for group in sent for frame in group)[:4000], sizes)


@pytest.mark.parametrize("size", BOUNDARIES)
@pytest.mark.parametrize("sizes", [[1 << 20], [1 << 16], [4097, 1030, 2051], [1024, 1, 1025, 2, 1026, 3]], ids=str)
def test_a_payload_of_any_length_comes_whole_in_parts_of_any_length(size: int, sizes: list[int]) -> None:
    payload = os.urandom(size)
    *events, state = assert_alike(bytes(Frame(payload=payload, key=b"\x01\x02\x03\xfe")), sizes)
    assert b"".join(event.data for event in events) == payload
    assert isinstance(events[-1], BytesMessage)
    assert events[-1].message_finished
    assert state is ConnectionState.OPEN


@pytest.mark.parametrize("size", [size for size in BOUNDARIES if size > 1])
@pytest.mark.parametrize("sizes", [[1 << 18], [1], [5, 2, 3], [1022, 4097]], ids=str)
def test_what_is_read_past_it_to_its_place_is_unmasked_there(size: int, sizes: list[int]) -> None:
    payload, end = os.urandom(size), unmasking.ServerEnd()
    sent = bytes(Frame(payload=payload, key=b"\x01\x02\x03\xfe"))
    first = len(sent) - size + 1
    begun, _ = heard(end, [sent[:first]])
    whole = np.frombuffer(bytearray(begun.data + sent[first:]), np.uint8)
    start = 1
    for piece in cut(sent[first:], sizes):
        end.take(whole, start, start + len(piece))
        start += len(piece)
        assert end.left == size - start
    assert whole.tobytes() == payload
    text, _ = heard(end, [bytes(Frame(TEXT, b"2"))])
    assert text.data == "2"


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([Frame(key=None, payload=b"x" * 2000)], "unmasked frame"),
        ([Frame(reserved=4)], "Reserved bit"),
        ([Frame(claimed=1 << 63)], "non-zero MSB"),
        ([Frame(PING, b"x", final=False)], "fragment control frame"),
        ([Frame(PING, b"x" * 126)], "payload len > 125"),
        ([Frame(TEXT, b"\xff" * 2000)], "codec can't decode"),
        ([Frame(TEXT, b"x" * 2000 + b"\xe2\x82", final=False), Frame(CONTINUATION, b"\xe2" * 2000)], "codec can't decode"),
        ([Frame(payload=b"x" * 5, wide=True)], "2 would have sufficed"),
        ([Frame(CONTINUATION, b"x" * 2000)], "unexpected CONTINUATION"),
        ([Frame(payload=b"x" * 2000, final=False), Frame(TEXT, b"y" * 2000)], "expected CONTINUATION"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_frame_is_refused_in_the_same_words(frames: list[Frame], sentence: str) -> None:
    *_, refusal, _ = assert_alike(b"".join(map(bytes, frames)), [1 << 16])
    assert isinstance(refusal, CloseConnection)
    assert sentence in str(refusal.reason)


def test_large_payloads_go_past_wsprotos_own_masker(monkeypatch: pytest.MonkeyPatch) -> None:
    unmasked: list[int] = []
    process = XorMaskerSimple.process
    monkeypatch.setattr(XorMaskerSimple, "process", lambda masker, data: (unmasked.append(len(data)), process(masker, data))[1])
    heard(unmasking.ServerEnd(), cut(bytes(Frame(payload=bytes(1_000_003))), [1 << 16]))
    assert sum(unmasked) < 1000
