"""The key that signs graphs for this fleet's clients, which run no others in private mode."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from ansible.errors import AnsibleActionFail
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .certificates import pem, private_key
from .vault import Vault

FILE = "graphs.key"


def graph_key(vault: Vault, renew: bool = False) -> Ed25519PrivateKey:
    """Return the key: the one there is, unless it is to be another."""
    key: Ed25519PrivateKey | None = None if renew else private_key(vault, FILE, Ed25519PrivateKey)
    if key is None:
        key = Ed25519PrivateKey.generate()
        vault.write(FILE, pem(key), private=True)
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public half as bramble client --trust-graphs takes it."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return "ed25519:" + base64.b64encode(raw).decode()


def signature(key: Ed25519PrivateKey, graph: Path) -> str:
    """Sign a graph as bramble task sign does: over the digest of its file."""
    try:
        digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    except OSError as error:
        raise AnsibleActionFail(f"the graph {graph} cannot be read on the controller ({error.strerror})") from None
    return base64.b64encode(key.sign(f"bramble graph {digest}\n".encode())).decode()
