"""Signatures of graph files, and the keys that make them: their forms as text. Who checks them needs Ed25519 besides (RFC 8032).

A public key is written ``ed25519:`` and its 32 bytes in base64; files may hold several, one a line, with ``#`` comments. A graph's
signatures travel beside it, in a file of the same name with ``.sig`` behind it: one a line, 64 bytes in base64, each over :func:`message`.
"""

from __future__ import annotations

import base64
import binascii

from bramble_protocol.errors import ProtocolError

PREFIX = "ed25519:"
LARGEST = 1 << 14
"""Bytes of a file of signatures or keys."""


def message(sha256: str) -> bytes:
    """Return what is signed for the graph with this digest; nothing else that a key may sign begins like it."""
    return b"bramble graph " + sha256.encode() + b"\n"


def key_text(key: bytes) -> str:
    """Return a public key as people pass it on."""
    return PREFIX + base64.b64encode(key).decode()


def read_keys(text: str, what: str) -> list[bytes]:
    """Return the public keys in a text, 32 bytes each.

    Raises
    ------
    ProtocolError
        Naming ``what`` and the first line that is no key, or that there is none.
    """
    keys = []
    for number, line in _lines(text):
        if not line.startswith(PREFIX):
            raise ProtocolError(f"{what}, line {number}: expected a public key, {PREFIX} and 44 characters, as bramble task key writes it")
        keys.append(_decoded(line.removeprefix(PREFIX), 32, f"{what}, line {number}: a public key"))
    if not keys:
        raise ProtocolError(f"{what}: there is no key in it")
    return keys


def read_signatures(text: str, what: str) -> list[bytes]:
    """Return the signatures in a text, 64 bytes each.

    Raises
    ------
    ProtocolError
        Naming ``what`` and the first line that is none.
    """
    return [_decoded(line, 64, f"{what}, line {number}: a signature") for number, line in _lines(text)]


def _lines(text: str) -> list[tuple[int, str]]:
    if len(text) > LARGEST:
        return []
    stripped = ((number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in stripped if line]


def _decoded(text: str, size: int, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(f"{what} is not base64 ({error})") from None
    if len(data) != size:
        raise ProtocolError(f"{what} has {size} bytes, this one {len(data)}")
    return data
