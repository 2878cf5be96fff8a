"""Clients' own keys for secure sums, and the roll of them that the fleet's authority signs, in the form of docs/protocol.md."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping

import yaml  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .authority import Authority
from .certificates import pem
from .graph_key import public_text
from .vault import Vault

FILE = "clients.yml"
ROLL = "roll"
HEAD, SIGNED = "bramble roll\n", "signature "


def client_keys(vault: Vault, clients: Iterable[str], renew: bool = False) -> dict[str, str]:
    """Return the key of each client as PEM; that of a client which is no longer there is forgotten."""
    text = vault.private(FILE)
    before = _read(vault, text) if text else {}
    after = {
        client: (not renew and before.get(client)) or pem(Ed25519PrivateKey.generate()).decode()
        for client in sorted({str(client) for client in clients})
    }
    if after != before:
        vault.write(FILE, yaml.safe_dump(after).encode(), private=True)
    return after


def roll(vault: Vault, ca: Authority, keys: Mapping[str, str]) -> str:
    """Return the roll of these clients: the one there is, unless it is of others or another authority signed it."""
    body = HEAD + "".join(f"{client} {public_text(_key(vault, keys[client]))}\n" for client in sorted(keys))
    before = vault.public(ROLL).decode("ascii", "replace")
    if before.startswith(body + SIGNED) and _signed(ca, body, before.removeprefix(body + SIGNED)):
        return before
    signature = ca.key.sign(body.encode(), ec.ECDSA(hashes.SHA256()))
    text = f"{body}{SIGNED}{base64.b64encode(signature).decode()}\n"
    vault.write(ROLL, text.encode(), private=False)
    return text


def _signed(ca: Authority, body: str, signature: str) -> bool:
    try:
        ca.key.public_key().verify(base64.b64decode(signature.strip(), validate=True), body.encode(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _read(vault: Vault, text: bytes) -> dict[str, str]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(item, str) for pair in found.items() for item in pair):
        raise vault.damaged(FILE, "it holds no keys by client")
    for key in found.values():
        _key(vault, key)
    return found


def _key(vault: Vault, text: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise vault.damaged(FILE, "it holds a key that cannot be read")
    return key
