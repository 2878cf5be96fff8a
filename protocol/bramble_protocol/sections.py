"""Several vectors in one attachment, each in a section with a name: a table of names, encodings and lengths, then the bytes.

::

    8 bytes             the mark, whose last byte is the format's number
    8 bytes             how many sections there are
    64 bytes for each   its name (24), its encoding (32), both ASCII and filled up with zeros, and its length in bytes (8)
    then each section   its bytes, filled up with zeros to a multiple of 8

Numbers are little-endian and unsigned. Nothing lies between the sections or behind the last, so what is said in the table says
all, and there is one way alone to write some sections in an order.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from bramble_protocol.errors import EncodingError

ENCODING = "sections"
"""What a message says in place of an encoding whose attachment is of this form."""
MARK = b"BRAMBLE\x01"
MOST = 16
"""Sections in one attachment."""
_NAME = re.compile(rb"[a-z][a-z0-9_.-]*")
_START, _ENTRY = struct.Struct("<8sQ"), struct.Struct("<24s32sQ")


class Section(NamedTuple):
    """One vector: how it is encoded, and its bytes."""

    encoding: str
    data: memoryview


def pack(sections: Iterable[tuple[str, str, bytes | memoryview]]) -> bytes:
    """Return an attachment of these sections: name, encoding and bytes of each. The bytes are copied once."""
    table: list[bytes] = []
    body: list[bytes | memoryview] = []
    for name, encoding, data in sections:
        length = memoryview(data).nbytes
        table.append(_ENTRY.pack(name.encode("ascii"), encoding.encode("ascii"), length))
        body += [data, bytes(-length % 8)]
    return b"".join([_START.pack(MARK, len(table)), *table, *body])


def unpack(data: Any, known: Collection[str]) -> dict[str, Section]:
    """Return the sections of an attachment by name, in their order; their bytes are views, and none of them is read.

    Parameters
    ----------
    data
        What came.
    known
        The names that the receiver asked for. Any other is refused: nobody sends what was not asked for.

    Raises
    ------
    EncodingError
        If it is anything but what :func:`pack` makes, a name is unknown or comes twice.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise EncodingError(f"sections: expected bytes, got {type(data).__name__}")
    whole = memoryview(data).cast("B")
    if len(whole) < _START.size:
        raise EncodingError(f"sections: {len(whole)} bytes are no attachment with sections")
    mark, count = _START.unpack_from(whole)
    if mark != MARK:
        raise EncodingError("sections: the attachment does not begin as one with sections")
    start = _START.size + count * _ENTRY.size
    if not 0 < count <= MOST or len(whole) < start:
        raise EncodingError(f"sections: expected a table of 1 to {MOST} sections, all of it there")
    found: dict[str, Section] = {}
    for index in range(count):
        raw_name, raw_encoding, length = _ENTRY.unpack_from(whole, _START.size + index * _ENTRY.size)
        name, encoding = _text(raw_name, index, "name"), _text(raw_encoding, index, "encoding")
        if name in found:
            raise EncodingError(f"sections[{index}].name: '{name}' appears twice")
        if name not in known:
            raise EncodingError(f"sections[{index}].name: '{name}' is not one of {', '.join(known)}")
        end = start + length + -length % 8
        if end > len(whole):
            raise EncodingError(f"sections.{name}: {length} bytes are said to come, {len(whole) - start} are there")
        if end - start > length and any(whole[start + length : end]):
            raise EncodingError(f"sections.{name}: what fills it up is not zero")
        found[name] = Section(encoding, whole[start : start + length])
        start = end
    if start != len(whole):
        raise EncodingError(f"sections: {len(whole) - start} bytes come behind the last")
    return found


@lru_cache(4 * MOST)
def _text(raw: bytes, index: int, what: str) -> str:
    text = raw.rstrip(b"\0")
    if not _NAME.fullmatch(text):
        raise EncodingError(f"sections[{index}].{what}: expected a name that matches {_NAME.pattern.decode()}")
    return text.decode("ascii")
