"""Keys and signatures as text: what is read, and what is refused by its line."""

from __future__ import annotations

import base64

import pytest

from bramble_protocol.errors import ProtocolError
from bramble_protocol.signatures import LARGEST, key_text, message, read_keys, read_signatures

KEY, OTHER = bytes(range(32)), bytes(32)


def test_keys_are_read_as_they_are_written() -> None:
    text = f"# the operators\n{key_text(KEY)}\n\n  {key_text(OTHER)}  # Ada's\n"
    assert read_keys(text, "keys") == [KEY, OTHER]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "keys: there is no key in it"),
        ("# nothing", "keys: there is no key in it"),
        ("x" * (LARGEST + 1), "there is no key in it"),
        (f"{key_text(KEY)}\n-----BEGIN PUBLIC KEY-----", "keys, line 2: expected a public key"),
        ("ed25519:" + base64.b64encode(bytes(31)).decode(), "line 1: a public key has 32 bytes, this one 31"),
        ("ed25519:äöü", "line 1: a public key is not base64"),
        ("ed25519:AAAA*AAA", "line 1: a public key is not base64"),
    ],
)
def test_what_is_no_key_is_refused_by_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ProtocolError, match=sentence):
        read_keys(text, "keys")


def test_signatures_are_one_a_line_and_may_be_none() -> None:
    one = base64.b64encode(bytes(64)).decode()
    assert read_signatures(f"{one}\n{one}\n", "it") == [bytes(64)] * 2
    assert read_signatures("", "it") == []
    with pytest.raises(ProtocolError, match="it, line 2: a signature has 64 bytes, this one 3"):
        read_signatures(f"{one}\nAAAA", "it")


def test_what_is_signed_names_its_purpose_and_the_digest() -> None:
    assert message("ab" * 32) == b"bramble graph " + b"ab" * 32 + b"\n"
