"""The fleet's authority and the server's certificate, as the play makes them: keys on the curve P-256 (RFC 5480), X.509 (RFC 5280)."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bramble_protocol import BrambleError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY_DAYS, SERVER_DAYS = 3650, 825
LEAST_DAYS = 60
"""With no more than this left the server's certificate is made anew."""


def keep(path: Path, content: bytes, secret: bool) -> None:
    """Write a file as a whole or not at all; a secret one for its owner alone."""
    made = path.with_name(f".{path.name}.new")
    made.unlink(missing_ok=True)
    with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644), "wb") as file:
        file.write(content)
    made.replace(path)


def certify(folder: Path, address: str, now: dt.datetime) -> None:
    """Make ``ca.key``, ``ca.crt``, ``server.key`` and ``server.crt`` in a folder, where they are not there or not good for this address.

    Parameters
    ----------
    address
        Under which clients reach the server: a name or a number.

    Raises
    ------
    BrambleError
        If a file of an earlier time cannot be read.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    paths = [folder / name for name in ("ca.key", "ca.crt")]
    if not all(path.exists() for path in paths):
        key = ec.generate_private_key(ec.SECP256R1())
        keep(paths[0], _pem(key), secret=True)
        keep(paths[1], _authority(key, now).public_bytes(serialization.Encoding.PEM), secret=False)
        for name in ("server.key", "server.crt"):
            (folder / name).unlink(missing_ok=True)
    try:
        loaded = serialization.load_pem_private_key(paths[0].read_bytes(), None)
        authority = x509.load_pem_x509_certificate(paths[1].read_bytes())
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        shown = folder / "server.crt"
        if shown.exists() and (folder / "server.key").exists() and _good(x509.load_pem_x509_certificate(shown.read_bytes()), address, now):
            return
    except (ValueError, TypeError, AssertionError):
        raise BrambleError(f"quickstart: a key or certificate in {folder} is damaged; delete the folder to begin anew") from None
    own = ec.generate_private_key(ec.SECP256R1())
    keep(folder / "server.key", _pem(own), secret=True)
    keep(shown, _certificate(own, loaded, authority, address, now).public_bytes(serialization.Encoding.PEM), secret=False)


def _general_name(address: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _good(certificate: x509.Certificate, address: str, now: dt.datetime) -> bool:
    from cryptography import x509

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return _general_name(address) in set(names) and certificate.not_valid_after_utc - now > dt.timedelta(days=LEAST_DAYS)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: dt.datetime, days: int, ca: bool
) -> x509.CertificateBuilder:
    """Return what both begin with. A Pi's clock may be a little behind."""
    from cryptography import x509

    usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, 0 if ca else None), critical=True)
        .add_extension(usage, critical=True)
    )


def _authority(key: EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Bramble private CA")])
    begun = _begun(name, name, key, now, AUTHORITY_DAYS, ca=True)
    return begun.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False).sign(key, hashes.SHA256())


def _certificate(
    key: EllipticCurvePrivateKey, signer: EllipticCurvePrivateKey, authority: x509.Certificate, address: str, now: dt.datetime
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address[:64])])
    names = dict.fromkeys(map(_general_name, (address, "localhost", "127.0.0.1")))
    return (
        _begun(subject, authority.subject, key, now, SERVER_DAYS, ca=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
