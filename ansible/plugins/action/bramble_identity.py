"""Make and keep the fleet's identities on the controller: a private CA, the server's certificate, clients' tokens, a key to sign graphs.

Private keys and tokens are files under Ansible Vault, written with the vault password of this very run. Nothing is made anew
that is still good, so running it again changes nothing.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import os
import secrets
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible.plugins.action import ActionBase

AUTHORITY = "Bramble private CA"
CA_DAYS = 3650
CERTIFICATE_DAYS = 397
RENEW_DAYS = 30
"""A certificate with less than this left is made anew."""

Certified = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


class Vault:
    """Files of a folder; the private ones under vault.

    Parameters
    ----------
    folder
        Made when the first file is written.
    vault
        Ansible's ``VaultLib`` with the passwords of this run.
    dry
        Write nothing.
    """

    def __init__(self, folder: Path, vault: Any, dry: bool) -> None:
        self._folder, self._vault, self._dry = folder, vault, dry
        self.changed: list[str] = []

    def read(self, name: str) -> bytes | None:
        """Return a file's content, decrypted if it is under vault; None without such a file."""
        path = self._folder / name
        if not path.exists():
            return None
        content = path.read_bytes()
        if not content.startswith(b"$ANSIBLE_VAULT"):
            return content
        try:
            plain: bytes = self._vault.decrypt(content)
        except AnsibleError:
            raise AnsibleActionFail(
                f"{path} does not open with this vault password: pass the one it was made with (--vault-password-file or --ask-vault-pass)"
            ) from None
        return plain

    def write(self, name: str, content: bytes, private: bool) -> None:
        """Replace a file in one step."""
        self.changed.append(name)
        if private and not self._vault.secrets:
            raise AnsibleActionFail(
                f"{self._folder / name} is to be made, and private files are kept under vault: pass a vault password, "
                "by --vault-password-file or --ask-vault-pass"
            )
        if self._dry:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._folder / f".{name}"
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o644), "wb") as file:
            file.write(self._vault.encrypt(content) if private else content)
        unfinished.rename(self._folder / name)


def authority(vault: Vault, now: dt.datetime, renew: bool) -> Certified:
    """Return the CA. Renewed, it keeps its key: who trusts the old certificate trusts what the new one signs."""
    found = _load(vault, "ca")
    if found and not renew and found[1].not_valid_after_utc - now > dt.timedelta(days=RENEW_DAYS):
        return found
    key = found[0] if found else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY)])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    if not found:
        vault.write("ca.key", _pem(key), private=True)
    vault.write("ca.crt", certificate.public_bytes(serialization.Encoding.PEM), private=False)
    return key, certificate


def server_certificate(vault: Vault, ca: Certified, names: list[str], now: dt.datetime, renew: bool) -> Certified:
    """Return the server's certificate: the one there is, unless it ends soon, lacks a name, or is another authority's."""
    found = _load(vault, "server")
    if found and not renew:
        certificate = found[1]
        alike = _names(certificate) == sorted(set(names)) and certificate.issuer == ca[1].subject and _signed_by(certificate, ca[1])
        if alike and certificate.not_valid_after_utc - now > dt.timedelta(days=RENEW_DAYS):
            return found
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, ca[1].subject, key, now, CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in sorted(set(names))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca[0].public_key()), critical=False)
        .sign(ca[0], hashes.SHA256())
    )
    vault.write("server.key", _pem(key), private=True)
    vault.write("server.crt", certificate.public_bytes(serialization.Encoding.PEM), private=False)
    return key, certificate


def tokens(vault: Vault, names: list[str], renew: bool) -> dict[str, str]:
    """Return a token for each name: 256 random bits. The token of a name that is no longer there is forgotten."""
    before: dict[str, str] = yaml.safe_load(vault.read("tokens.yml") or b"") or {}
    after = {name: (not renew and before.get(name)) or secrets.token_urlsafe(32) for name in sorted({str(name) for name in names})}
    if after != before:
        vault.write("tokens.yml", yaml.safe_dump(after).encode(), private=True)
    return after


def graph_key(vault: Vault) -> ed25519.Ed25519PrivateKey:
    """Return the key that signs graphs for this fleet's clients."""
    found = vault.read("graphs.key")
    if found is not None:
        key = serialization.load_pem_private_key(found, None)
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        return key
    key = ed25519.Ed25519PrivateKey.generate()
    vault.write("graphs.key", _pem(key), private=True)
    return key


def public_text(key: ed25519.Ed25519PrivateKey) -> str:
    """Return the public half as bramble client --trust-graphs takes it."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return "ed25519:" + base64.b64encode(raw).decode()


def signature(key: ed25519.Ed25519PrivateKey, graph: Path) -> str:
    """Sign a graph as bramble task sign does: over the digest of its file."""
    try:
        digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    except OSError as error:
        raise AnsibleActionFail(f"server_graph: {graph} cannot be read on the controller ({error.strerror})") from None
    return base64.b64encode(key.sign(f"bramble graph {digest}\n".encode())).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    # A Pi's clock may be a little behind.
    start = now - dt.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(now + dt.timedelta(days=days))


def _load(vault: Vault, name: str) -> Certified | None:
    key, certificate = vault.read(f"{name}.key"), vault.read(f"{name}.crt")
    if key is None or certificate is None:
        return None
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private, x509.load_pem_x509_certificate(certificate)


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except Exception:
        return False
    return True


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(certificate: x509.Certificate) -> list[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(str(name.value) for name in extension)


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class ActionModule(ActionBase):  # type: ignore[misc]
    """Make what is missing, and return it if ``reveal`` says so: then the task needs ``no_log``, which would hide a failure's reason."""

    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make what is missing or used up; in check mode in memory only."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "folder": {"type": "path", "required": True},
                "server_names": {"type": "list", "elements": "str", "required": True},
                "names": {"type": "list", "elements": "str", "required": True},
                "graph": {"type": "path"},
                "reveal": {"type": "bool", "default": False},
                "renew": {"type": "list", "elements": "str", "choices": ["ca", "certificate", "tokens"], "default": []},
            }
        )
        vault = Vault(Path(arguments["folder"]), self._loader._vault, self._task.check_mode)
        now, renew = dt.datetime.now(dt.UTC), arguments["renew"]
        ca = authority(vault, now, "ca" in renew)
        key, certificate = server_certificate(vault, ca, arguments["server_names"], now, "certificate" in renew)
        made_tokens = tokens(vault, arguments["names"], "tokens" in renew)
        signer = graph_key(vault)
        signed = signature(signer, Path(arguments["graph"])) if arguments["graph"] else ""
        outcome = {"changed": bool(vault.changed), "made": vault.changed}
        if not arguments["reveal"]:
            return outcome
        return {
            **outcome,
            "tokens": made_tokens,
            "ca_certificate": ca[1].public_bytes(serialization.Encoding.PEM).decode(),
            "server_certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(),
            "server_key": _pem(key).decode(),
            "graph_key": public_text(signer),
            "graph_signature": signed,
        }
