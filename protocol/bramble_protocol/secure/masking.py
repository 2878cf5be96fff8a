"""The cryptography of masks: X25519 (RFC 7748), HKDF (RFC 5869), ChaCha20 and Poly1305 (RFC 8439) of the package cryptography."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bramble_protocol.errors import ProtocolError
from bramble_protocol.secure.fixed import Words

KEY = 32
"""Bytes of a key, public or secret."""
TAG = 16
"""Bytes by which a sealed text is longer."""
BLOCK = 1 << 16
"""Bytes of a mask that are made at a time."""


class Secret:
    """A secret of X25519; what it takes to load it is paid once.

    Parameters
    ----------
    secret
        32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(secret)

    @cached_property
    def public(self) -> bytes:
        """Its public key."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def agreed(self, others: bytes, context: bytes) -> bytes:
        """Return the key of 32 bytes that it and the secret of another's public key have in common, and nobody else.

        Raises
        ------
        ProtocolError
            If the other's key is one with which everybody would have the same.
        """
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(others))
        except ValueError as error:
            raise ProtocolError(f"secure sum: a public key cannot be used ({error})") from None
        return HKDF(SHA256(), KEY, None, context).derive(shared)


def commitment(secret: bytes) -> bytes:
    """Return by what a secret can be told to be the one that was promised, and which says nothing of it."""
    return hashlib.sha256(b"bramble secure commitment\n" + secret).digest()


def add_mask(words: Words, key: bytes, sign: int = 1) -> None:
    """Add to words in place, or with ``sign`` -1 take from them, the ChaCha20 keystream of a key that is used for nothing else."""
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()
    zeros = bytes(BLOCK)
    for start in range(0, len(words), BLOCK // 4):
        part = words[start : start + BLOCK // 4]
        mask = np.frombuffer(stream.update(zeros[: part.nbytes]), "<u4")
        if sign > 0:
            part += mask
        else:
            part -= mask


def seal(key: bytes, text: bytes, context: bytes, way: int) -> bytes:
    """Return a text that only who has the key can read or make, ``TAG`` bytes longer; a key seals one each way, 0 and 1."""
    return ChaCha20Poly1305(key).encrypt(_nonce(way), text, context)


def unseal(key: bytes, sealed: bytes, context: bytes, way: int) -> bytes | None:
    """Return what was sealed; None if it was not with this key and this way, or is for something else."""
    try:
        return ChaCha20Poly1305(key).decrypt(_nonce(way), sealed, context)
    except InvalidTag:
        return None


def _nonce(way: int) -> bytes:
    return way.to_bytes(12, "little")
