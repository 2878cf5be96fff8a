"""The fleet's own certificate authority, and the change from one to the next, in which hosts trust both."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .certificates import SERVER_DAYS, begun, belongs, certificates, pem, private_key, public, valid
from .vault import Vault

NAME = "Bramble private CA"
DAYS = 3650
RENEW_DAYS = SERVER_DAYS
"""With no more than this left its certificate is made anew, so that none that it signs outlives it."""


@dataclass(frozen=True)
class Authority:
    """The fleet's authority, and those before it that hosts still trust."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    former: tuple[x509.Certificate, ...] = ()

    @property
    def trusted(self) -> bytes:
        """What hosts trust, as PEM."""
        return b"".join(map(pem, (self.certificate, *self.former)))


def authority(
    vault: Vault, now: dt.datetime, renew: bool = False, replace: bool = False, others: Iterable[x509.Certificate] = ()
) -> Authority:
    """Return the CA.

    Parameters
    ----------
    renew
        Make its certificate anew with the same key: who trusts the old one trusts what the new one signs.
    replace
        Make another key. Where such a change is under way already, it goes on, so that a run that was cut can be repeated.
    others
        Authorities that the fleet trusts and this controller does not have; they are trusted until the change is through.
    """
    key, known = private_key(vault, "ca.key", ec.EllipticCurvePrivateKey), [*certificates(vault.public("ca.crt")), *others]
    if key is not None and replace and all(belongs(certificate, key) for certificate in known):
        key = None
    made = key is None
    key = key or ec.generate_private_key(ec.SECP256R1())
    own = next((certificate for certificate in known if belongs(certificate, key)), None)
    former = tuple({public(item): item for item in known if not belongs(item, key)}.values())
    if own is None or renew or not valid(own, now, RENEW_DAYS):
        own = _certificate(key, now)
    found = Authority(key, own, former)
    if made:
        vault.write("ca.key", pem(key), private=True)
    if found.trusted != vault.public("ca.crt"):
        vault.write("ca.crt", found.trusted, private=False)
    return found


def alone(vault: Vault, ca: Authority) -> Authority:
    """Stop trusting the authorities before this one."""
    ca = Authority(ca.key, ca.certificate)
    if ca.trusted != vault.public("ca.crt"):
        vault.write("ca.crt", ca.trusted, private=False)
    return ca


def _certificate(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        begun(name, name, key, now, DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
