"""The certificate that the server shows, signed by the fleet's own authority."""

from __future__ import annotations

import datetime as dt

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


def server_certificate(
    vault: Vault, ca: Authority, names: list[str], now: dt.datetime, renew: bool, shown: x509.Certificate | None = None
) -> Certified:
    """Return the server's certificate: the one there is, unless it ends soon, lacks a name, or is another authority's.

    Names that it had stay in it: until a roll-out has been everywhere, clients look for the server where it was.

    Parameters
    ----------
    renew
        Make it anew though it is still good, and of today's names alone.
    shown
        The certificate that the server has, for a controller that has none.
    """
    found, wanted = _load(vault), set(map(general_name, names))
    if found and not renew and signed_by(found[1], ca.certificate) and valid(found[1], now, RENEW_DAYS):
        if wanted <= general_names(found[1]):
            return found
    before = found[1] if found else shown
    if before is not None and not renew:
        wanted |= general_names(before)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        begun(subject, ca.certificate.subject, key, now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(sorted(wanted, key=str)), critical=False)
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
    if certificate is None or not valid(certificate, now) or not set(map(general_name, names)) <= general_names(certificate):
        return False
    return any(signed_by(certificate, former) for former in ca.former)


def _load(vault: Vault) -> Certified | None:
    """Return a key and its certificate; None without them, or where a run was cut between the two."""
    key, found = private_key(vault, "server.key", ec.EllipticCurvePrivateKey), certificates(vault.public("server.crt"))
    return (key, found[0]) if key is not None and found and belongs(found[0], key) else None
