"""The fleet's roll: every client's public key, signed by the fleet's authority, so that no server can put another in its place.

A text: the line ``bramble roll``, then one for each client, its id and its Ed25519 key (RFC 8032) as
:mod:`bramble_protocol.signatures` writes keys, and last ``signature`` with the authority's ECDSA over SHA-256 of all before it, in base64.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bramble_protocol import fields, signatures
from bramble_protocol.errors import ProtocolError
from bramble_protocol.reasons import UNSIGNED

HEAD = "bramble roll"
SIGNED = "signature "
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)
LARGEST = 1 << 21
"""Bytes of a roll."""


class Identity:
    """A client's own key, which never leaves it.

    Parameters
    ----------
    secret
        The key of Ed25519.
    """

    def __init__(self, secret: Ed25519PrivateKey) -> None:
        self._secret = secret

    @classmethod
    def read(cls, path: Path) -> Identity:
        """Read the key from its file (PEM).

        Raises
        ------
        ProtocolError
            If it is not there, or no such key.
        """
        try:
            found = serialization.load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise ProtocolError(f"identity: {path} cannot be read ({error.strerror}); bramble quickstart and the play make it") from None
        except (ValueError, TypeError):
            found = None
        if not isinstance(found, Ed25519PrivateKey):
            raise ProtocolError(f"identity: {path} holds no Ed25519 key; bramble quickstart and the play make it")
        return cls(found)

    @property
    def public(self) -> bytes:
        """Its public key, 32 bytes."""
        return self._secret.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        """Return a signature, 64 bytes."""
        return self._secret.sign(message)


def written(keys: Mapping[str, bytes], authority: ec.EllipticCurvePrivateKey) -> str:
    """Return the roll of these clients, by their public keys, signed."""
    body = "".join(f"{line}\n" for line in (HEAD, *(f"{client} {signatures.key_text(keys[client])}" for client in sorted(keys))))
    signature = authority.sign(body.encode(), ec.ECDSA(hashes.SHA256()))
    return f"{body}{SIGNED}{base64.b64encode(signature).decode()}\n"


class Roll:
    """Whose keys are whose."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self.keys = keys

    @classmethod
    def read(cls, path: Path, authority: Path | None = None) -> Roll:
        """Read a roll, and check that the authority of a certificate (PEM) signed it; a server, which it binds, is given none.

        Raises
        ------
        ProtocolError
            If a file cannot be read, the roll is not of its form, or another signed it.
        """
        try:
            text, certificate = path.read_text("utf-8"), authority and authority.read_bytes()
        except (OSError, UnicodeDecodeError) as error:
            raise ProtocolError(f"roll: {path} cannot be read, or the authority's certificate ({error})") from None
        body, _, last = text.rpartition(SIGNED)
        head, *lines = body.splitlines() or [""]
        if head != HEAD or len(text) > LARGEST:
            raise ProtocolError(f"roll: {path} is no roll, which begins with {HEAD!r}")
        if certificate:
            _signed(body, last, certificate, path)
        keys = {}
        for number, line in enumerate(lines, 2):
            client, _, key_text = line.partition(" ")
            fields.text(client, f"roll: {path}, line {number}", 63, fields.CLIENT_ID)
            (keys[client],) = signatures.read_keys(key_text, f"roll: {path}, line {number}")
        return cls(keys)

    def verify(self, client: str, message: bytes, signature: bytes) -> None:
        """Return if a client of the roll signed a message.

        Raises
        ------
        ProtocolError
            If it is not on the roll, or its key did not sign that.
        """
        if client not in self.keys:
            raise ProtocolError(f"secure sum: {client} is not on the fleet's roll; have it made anew with that client in it")
        if not any(signature):
            raise ProtocolError(f"secure sum: what {client} says is {UNSIGNED}, nor by any; give it --identity and --roll")
        try:
            Ed25519PublicKey.from_public_bytes(self.keys[client]).verify(signature, message)
        except InvalidSignature:
            raise ProtocolError(f"secure sum: what {client} says is {UNSIGNED}, or is of another round") from None


def _signed(body: str, signature: str, certificate: bytes, path: Path) -> None:
    """Return if one of the authorities signed it: while one takes over from another, both are trusted."""
    try:
        trusted = [x509.load_pem_x509_certificate(each).public_key() for each in PEM.findall(certificate)]
        given = base64.b64decode(signature.strip(), validate=True)
    except (ValueError, binascii.Error):
        raise ProtocolError(f"roll: {path} has no signature, or the authority's certificate is none (PEM)") from None
    if not any(_by(key, body.encode(), given) for key in trusted):
        raise ProtocolError(f"roll: {path} is not signed by the fleet's authority; have bramble quickstart or the play make it anew")


def _by(key: object, message: bytes, signature: bytes) -> bool:
    try:
        return isinstance(key, ec.EllipticCurvePublicKey) and key.verify(signature, message, ec.ECDSA(hashes.SHA256())) is None
    except InvalidSignature:
        return False
