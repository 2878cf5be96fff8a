"""The certificate that the server shows, signed by the fleet's own authority."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .authority import Authority
from .certificates import SERVER_DAYS, begun, belongs, certificates, general_name, general_names, pem, private_key, signed_by, valid
from .vault import Vault

RENEW_DAYS = 400
"""With no more than this left a run makes it anew: a year, so that one run a year is enough."""

Certified = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def server_certificate(vault: Vault, ca: Authority, names: list[str], now: dt.datetime, renew: bool) -> Certified:
    """Return the server's certificate: the one there is, unless it ends soon, lacks a name, or is another authority's."""
    found = _load(vault)
    if found and not renew:
        certificate = found[1]
        alike = general_names(certificate) == _general(names) and signed_by(certificate, ca.certificate)
        if alike and valid(certificate, now, RENEW_DAYS):
            return found
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        begun(subject, ca.certificate.subject, key, now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(sorted(_general(names), key=str)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    vault.write("server.key", pem(key), private=True)
    vault.write("server.crt", pem(certificate), private=False)
    return key, certificate


def stays(certificate: x509.Certificate | None, ca: Authority, names: list[str], now: dt.datetime) -> bool:
    """Whether the certificate that the server has is left to it for now: it is a former authority's, which all clients still trust."""
    if certificate is None or not valid(certificate, now) or not _general(names) <= general_names(certificate):
        return False
    return any(signed_by(certificate, former) for former in ca.former)


def _general(names: Iterable[str]) -> set[x509.GeneralName]:
    return set(map(general_name, names))


def _load(vault: Vault) -> Certified | None:
    """Return a key and its certificate; None without them, or where a run was cut between the two."""
    key, found = private_key(vault, "server.key", ec.EllipticCurvePrivateKey), certificates(vault.public("server.crt"))
    return (key, found[0]) if key is not None and found and belongs(found[0], key) else None
