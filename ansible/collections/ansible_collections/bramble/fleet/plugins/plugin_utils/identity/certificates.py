"""X.509 as this fleet uses it: keys on the curve P-256, what a certificate says, and whose it is."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from typing import Any

from ansible.errors import AnsibleActionFail
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .vault import Vault

SERVER_DAYS = 825
"""How long the server's certificate is valid: no browser takes one that is valid for longer."""


def begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, days: int) -> x509.CertificateBuilder:
    """Return what every certificate begins with. A Pi's clock may be a little behind."""
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
    return builder.not_valid_after(now + dt.timedelta(days=days))


def valid(certificate: x509.Certificate, now: dt.datetime, days: int = 0) -> bool:
    """Whether a certificate is good now, and for more than some days: one that a wrong clock dated ahead is not."""
    return certificate.not_valid_before_utc <= now and certificate.not_valid_after_utc - now > dt.timedelta(days=days)


def private_key(vault: Vault, name: str, kind: type[Any]) -> Any:
    """Return the key in a private file; None without it.

    Parameters
    ----------
    kind
        What it must be: nobody but this play makes such a file.
    """
    text = vault.private(name)
    if text is None:
        return None
    try:
        key = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise vault.damaged(name, "it holds no private key that can be read") from None
    if not isinstance(key, kind):
        raise vault.damaged(name, "it holds a key of another kind")
    return key


def certificates(text: bytes) -> tuple[x509.Certificate, ...]:
    """Return those in a file; what a person put there instead is none."""
    try:
        return tuple(x509.load_pem_x509_certificates(text))
    except ValueError:
        return ()


def pem(of: x509.Certificate | ec.EllipticCurvePrivateKey | Any) -> bytes:
    """Return a certificate, or a private key that is to go under vault, as text."""
    if isinstance(of, x509.Certificate):
        return of.public_bytes(serialization.Encoding.PEM)
    text: bytes = of.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return text


def public(of: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key, by which an authority is known whatever its certificate."""
    return of.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def belongs(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> bool:
    """Whether a certificate is of this key."""
    return key is not None and public(certificate) == public(key)


def signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether an authority signed a certificate."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def general_name(name: str) -> x509.GeneralName:
    """Return a host's name or address as a certificate says it, in the one way that it is written there."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        pass
    try:
        written = name.rstrip(".").lower().encode("idna").decode()
    except UnicodeError:
        written = ""
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", written):
        raise AnsibleActionFail(f"{name!r} is neither a name nor an address that the server's certificate could hold: give it another")
    return x509.DNSName(written)


def general_names(certificate: x509.Certificate) -> set[x509.GeneralName]:
    """Return all that a certificate is for."""
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def names_in_words(certificate: x509.Certificate) -> list[str]:
    """Return all that a certificate is for, as text."""
    return sorted(str(name.value) for name in general_names(certificate))
