from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_protocol.errors import EncodingError
from bramble_protocol.sections import MARK, MOST, pack, unpack

ABC = ("weights", "control", "state")
TWO = [("weights", "float32", b"0123456789ab"), ("control", "float16", b"abc")]
packed = st.lists(
    st.tuples(st.sampled_from(ABC), st.sampled_from(["float32", "delta-float16"]), st.binary(max_size=40)),
    min_size=1, max_size=3, unique_by=lambda section: section[0],
)  # fmt: skip


@given(packed)
def test_sections_come_back_in_their_order_as_they_were(sections: list[tuple[str, str, bytes]]) -> None:
    data = pack(sections)
    found = unpack(data, ABC)
    assert [(name, section.encoding, bytes(section.data)) for name, section in found.items()] == sections
    assert len(data) % 8 == 0
    assert len(data) == 16 + sum(64 + len(bytes_) + -len(bytes_) % 8 for *_, bytes_ in sections)


def test_the_bytes_are_those_of_the_contract() -> None:
    data = pack([("weights", "float32", b"1234")])
    assert data == b"BRAMBLE\x01" + struct.pack("<Q", 1) + b"weights".ljust(24, b"\0") + b"float32".ljust(32, b"\0") + struct.pack(
        "<Q", 4
    ) + b"1234".ljust(8, b"\0")


def test_a_section_is_a_view_and_nothing_is_copied() -> None:
    data = bytearray(pack(TWO))
    section = unpack(data, ABC)["weights"]
    data[data.index(b"0123")] = ord("x")
    assert bytes(section.data).startswith(b"x123")


@given(st.binary(max_size=300) | packed.map(pack), st.lists(st.tuples(st.integers(0, 299), st.integers(0, 255)), max_size=4))
def test_whatever_is_read_is_exactly_what_would_be_written(data: bytes, changes: list[tuple[int, int]]) -> None:
    """So there are no gaps, no overlaps, no bytes that mean nothing, and nothing but a refusal otherwise."""
    changed = bytearray(data)
    for place, value in changes:
        if place < len(changed):
            changed[place] = value
    with contextlib.suppress(EncodingError):
        found = unpack(bytes(changed), ABC)
        assert pack([(name, section.encoding, bytes(section.data)) for name, section in found.items()]) == changed


@pytest.mark.parametrize("length", range(len(pack(TWO))))
def test_one_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(EncodingError, match="sections"):
        unpack(pack(TWO)[:length], ABC)


def forged(*, count: int = 1, name: bytes = b"weights", encoding: bytes = b"float32", length: int = 8, body: bytes = bytes(8)) -> bytes:
    return MARK + struct.pack("<Q", count) + struct.pack("<24s32sQ", name, encoding, length) + body


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "expected bytes, got NoneType"),
        ("text", "expected bytes, got str"),
        (b"", "0 bytes are no attachment with sections"),
        (b"BRAMBLE\x02" + bytes(80), "does not begin as one with sections"),
        (forged(count=0), f"a table of 1 to {MOST} sections"),
        (forged(count=2), f"a table of 1 to {MOST} sections, all of it there"),
        (forged(count=2**64 - 1), f"a table of 1 to {MOST} sections"),
        (forged(count=MOST + 1, body=bytes(64 * MOST)), f"a table of 1 to {MOST} sections"),
        (forged(length=9), "sections.weights: 9 bytes are said to come, 8 are there"),
        (forged(length=2**64 - 1), "sections.weights: 18446744073709551615 bytes are said to come, 8 are there"),
        (forged(length=7, body=b"\0" * 7 + b"x"), "sections.weights: what fills it up is not zero"),
        (forged(length=0), "8 bytes come behind the last"),
        (forged(body=bytes(9)), "1 bytes come behind the last"),
        (forged(name=b"wings"), "'wings' is not one of weights, control, state"),
        (forged(name=b""), r"sections\[0\].name: expected a name"),
        (forged(name=b"weights\0x"), r"sections\[0\].name: expected a name"),
        (forged(name=b"w\xc3\xa4"), r"sections\[0\].name: expected a name"),
        (forged(encoding=b"\x1b[2J"), r"sections\[0\].encoding: expected a name"),
        (pack([("weights", "float32", b""), ("weights", "float32", b"")]), r"sections\[1\].name: 'weights' appears twice"),
    ],
)
def test_what_is_malformed_is_refused_by_name(data: object, said: str) -> None:
    with pytest.raises(EncodingError, match=said):
        unpack(data, ABC)
