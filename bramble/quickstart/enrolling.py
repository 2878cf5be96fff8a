"""Clients' own keys, and the fleet's roll of them, for secure sums."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bramble.quickstart.identity import keep
from bramble_protocol import BrambleError

BEGIN, END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
ROLL = "roll"


def enrol(folder: Path, clients: Iterable[str]) -> dict[str, str]:
    """Make an identity key for each client that has none, and sign the roll of all that have one; return each client's key in one line.

    Parameters
    ----------
    folder
        That of the fleet, with its authority's ``ca.key``; keys are kept in its ``clients``, the roll beside it.

    Raises
    ------
    BrambleError
        If a key of an earlier time is damaged.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from bramble_protocol.secure.roll import Identity, written

    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    for client in clients:
        path = folder / "clients" / f"{client}.key"
        if not path.exists():
            keep(path, Ed25519PrivateKey.generate().private_bytes(*form), secret=True)
    paths = {path.stem: path for path in sorted((folder / "clients").glob("*.key"))}
    authority = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    if not isinstance(authority, EllipticCurvePrivateKey):
        raise BrambleError(f"quickstart: {folder / 'ca.key'} is damaged; delete the folder to begin anew")
    roll = written({client: Identity.read(path).public for client, path in paths.items()}, authority)
    if _listed(folder / ROLL) != _names(roll):  # a signature is another each time
        keep(folder / ROLL, roll.encode(), secret=False)
    return {client: in_one_line(paths[client].read_text()) for client in clients}


def in_one_line(pem: str) -> str:
    """Return what a key of Ed25519 has between its first and last line."""
    (body,) = (line for line in pem.splitlines() if line and line not in (BEGIN, END))
    return body


def _names(roll: str) -> list[str]:
    return roll.splitlines()[:-1]


def _listed(path: Path) -> list[str]:
    return _names(path.read_text()) if path.exists() else []
