"""What a fleet has already, as its server's host shows it: its name, and why this controller must not make its identities anew."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from .certificates import belongs, certificates, private_key, public
from .tokens import Hashes, hashes
from .vault import Vault

REMEDY = (
    "copy that folder from the controller that made them; or, if it is lost, type yes when you are asked, or pass "
    "-e '{\"identity_takeover\": true}': they are made anew then, in an order that keeps the clients in reach."
)


@dataclass(frozen=True)
class Found:
    """What the fleet has."""

    trusted: tuple[x509.Certificate, ...] = ()
    """Its authorities, the one that signs first."""
    certificate: x509.Certificate | None = None
    key: str = ""
    """The server's, as PEM."""
    tokens: Hashes = field(default_factory=dict)
    graphs: bool = False
    """Whether its clients know a key that signs graphs."""
    fleet: str = ""
    """Its name."""


def look(files: Mapping[str, str]) -> Found:
    """Read what was looked up on the server's host: base64 by file name, empty for one that is not there."""
    content = {name: base64.b64decode(text) for name, text in files.items()}
    shown = certificates(content.get("server.crt", b""))
    return Found(
        trusted=certificates(content.get("ca.crt", b"")),
        certificate=shown[0] if shown else None,
        key=content.get("server.key", b"").decode("ascii", "replace"),
        tokens=hashes(content.get("tokens.toml", b""), content.get("tokens.former.toml", b"")),
        graphs=bool(content.get("signer.pub")),
        fleet=content.get("fleet.id", b"").decode("ascii", "replace").strip(),
    )


def refusal(vault: Vault, found: Found, renew: Iterable[str] = ()) -> str:
    """Return why this controller must not make anew what it lacks, for another one has it; empty if it may."""
    key, own = private_key(vault, "ca.key", ec.EllipticCurvePrivateKey), certificates(vault.public("ca.crt"))
    wanted = {"ca.key": bool(found.trusted), "tokens.yml": bool(found.tokens), "graphs.key": found.graphs and "graphs" not in renew}
    missing = [name for name, there in wanted.items() if there and vault.private(name) is None]
    if missing:
        return f"the fleet has identities already, and {vault.folder} on this controller has no {' and no '.join(missing)}"
    signs = found.trusted[0] if found.trusted else None
    if signs and not belongs(signs, key) and not any(public(signs) == public(certificate) for certificate in own):
        return f"the fleet trusts another authority than the one in {vault.folder} on this controller"
    return ""


def fleet_name(vault: Vault, folder: str, known: str) -> str:
    """Return the fleet's name, by which a client knows whether it was moved to another one; it outlives every key and every host."""
    before = vault.public("fleet.id").decode("ascii", "replace")
    name = known or before.strip() or f"{folder}-{secrets.token_hex(4)}"
    if f"{name}\n" != before:
        vault.write("fleet.id", f"{name}\n".encode(), private=False)
    return name
