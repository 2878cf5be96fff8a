"""Packets are what Socket.IO's own would be, both ways."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import ACK, EVENT, Packet  # type: ignore[import-untyped]

from bramble_server.transport.packets import QuickPacket

LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3)
PLACEHOLDERS = st.fixed_dictionaries({"_placeholder": st.booleans()}, optional={"num": st.integers(-1, 2)})
KEYS = st.text(max_size=3) | st.sampled_from(["_placeholder", "num"])
DATA = st.recursive(
    LEAVES | PLACEHOLDERS | st.binary(max_size=3).map(bytearray),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(DATA, st.sampled_from([EVENT, ACK]))
def test_what_is_sent_is_byte_for_byte_what_socketio_sends(data: Any, kind: int) -> None:
    assert QuickPacket(kind, [data], id=7).encode() == Packet(kind, [data], id=7).encode()


@given(DATA, st.lists(st.binary(max_size=3), min_size=1, max_size=3))
def test_what_comes_is_understood_as_socketio_understands_it(data: Any, attachments: list[bytes]) -> None:
    text = f"5{len(attachments)}-{json.dumps([data], default=lambda value: {'_placeholder': True, 'num': 0})}"
    assert _taken(QuickPacket, text, attachments) == _taken(Packet, text, attachments)


def _taken(kind: type[Packet], text: str, attachments: list[bytes]) -> Any:
    packet = kind(encoded_packet=text)
    try:
        for attachment in attachments:
            packet.add_attachment(attachment)
    except (IndexError, TypeError) as error:
        return type(error)
    return packet.data
