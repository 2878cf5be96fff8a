"""Make and keep the fleet's identities on the controller: a private CA, the server's certificate, clients' tokens, a key to sign graphs.

Private keys and tokens are files under Ansible Vault, written with the vault password of this very run. Nothing is made anew
that is still good, so running it again changes nothing.

What is made anew takes over in an order that keeps every client in reach. ``ca.crt``, here and on the hosts, is all that is trusted: the
authority that signs, then those before it. Tokens of before are known by their hashes at the server. Both go, by the stages ``turn`` and
``end``, when the whole fleet was seen with the new ones; a run that is cut leaves what the next one goes on from.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import os
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible.plugins.action import ActionBase

AUTHORITY = "Bramble private CA"
CA_DAYS = 3650
CERTIFICATE_DAYS = 397
RENEWABLE = ["authority", "ca", "certificate", "graphs", "tokens"]
RENEW_DAYS = 30
"""A certificate with less than this left is made anew."""

REMEDY = (
    "copy that folder from the controller that made them; or, if it is lost, type yes when you are asked, or pass "
    "-e '{\"identity_takeover\": true}': they are made anew then, in an order that keeps the clients in reach."
)

Certified = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]
Hashes = dict[str, list[str]]
"""Hashes of tokens by name; of HTTP tokens with ``http:`` before it."""


@dataclass(frozen=True)
class Found:
    """What the fleet has already, as its server's host shows it."""

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


@dataclass(frozen=True)
class Authority:
    """The fleet's authority, and those before it that hosts still trust."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    former: tuple[x509.Certificate, ...] = ()

    @property
    def trusted(self) -> bytes:
        """What hosts trust, as PEM."""
        return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in (self.certificate, *self.former))


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
        self.folder, self._vault, self._dry = folder, vault, dry
        self.changed: list[str] = []

    def read(self, name: str) -> bytes | None:
        """Return a file's content, decrypted if it is under vault; None without such a file."""
        path = self.folder / name
        if not path.exists():
            return None
        content = path.read_bytes()
        if not content.startswith(b"$ANSIBLE_VAULT"):
            return content
        try:
            plain: bytes = self._vault.decrypt(content)
        except AnsibleError:
            raise AnsibleActionFail(
                f"{path} does not open with this vault password: pass the one it was made with (--vault-password-file or "
                "--ask-vault-pass); if it is lost, move that folder away and deploy"
            ) from None
        return plain

    def write(self, name: str, content: bytes, private: bool) -> None:
        """Replace a file in one step."""
        self.changed.append(name)
        if private and not self._vault.secrets:
            raise AnsibleActionFail(
                f"{self.folder / name} is to be made, and private files are kept under vault: pass a vault password, "
                "by --vault-password-file or --ask-vault-pass"
            )
        if self._dry:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self.folder / f".{name}"
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o644), "wb") as file:
            file.write(self._vault.encrypt(content) if private else content)
        unfinished.rename(self.folder / name)


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
    key, known = _key(vault, "ca"), [*_certificates(vault.read("ca.crt") or b""), *others]
    if key is not None and replace and all(_of(certificate, key) for certificate in known):
        key = None
    made = key is None
    key = key or ec.generate_private_key(ec.SECP256R1())
    own = next((certificate for certificate in known if _of(certificate, key)), None)
    former = tuple({_public(item): item for item in known if not _of(item, key)}.values())
    if own is None or renew or own.not_valid_after_utc - now <= dt.timedelta(days=RENEW_DAYS):
        own = _authority_certificate(key, now)
    found = Authority(key, own, former)
    if made:
        vault.write("ca.key", _pem(key), private=True)
    if found.trusted != vault.read("ca.crt"):
        vault.write("ca.crt", found.trusted, private=False)
    return found


def alone(vault: Vault, ca: Authority) -> Authority:
    """Stop trusting the authorities before this one."""
    ca = Authority(ca.key, ca.certificate)
    if ca.trusted != vault.read("ca.crt"):
        vault.write("ca.crt", ca.trusted, private=False)
    return ca


def _authority_certificate(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY)])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def server_certificate(vault: Vault, ca: Authority, names: list[str], now: dt.datetime, renew: bool) -> Certified:
    """Return the server's certificate: the one there is, unless it ends soon, lacks a name, or is another authority's."""
    found = _load(vault, "server")
    if found and not renew:
        certificate = found[1]
        alike = _names(certificate) == sorted(set(names)) and _signed_by(certificate, ca.certificate)
        if alike and certificate.not_valid_after_utc - now > dt.timedelta(days=RENEW_DAYS):
            return found
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, ca.certificate.subject, key, now, CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in sorted(set(names))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    vault.write("server.key", _pem(key), private=True)
    vault.write("server.crt", certificate.public_bytes(serialization.Encoding.PEM), private=False)
    return key, certificate


def stays(certificate: x509.Certificate | None, ca: Authority, names: list[str], now: dt.datetime) -> bool:
    """Whether the certificate that the server has is left to it for now: it is a former authority's, which all clients still trust."""
    if certificate is None or certificate.not_valid_after_utc <= now or not set(names) <= set(_names(certificate)):
        return False
    return any(_signed_by(certificate, former) for former in ca.former)


def tokens(vault: Vault, names: list[str], renew: bool) -> dict[str, str]:
    """Return a token for each name: 256 random bits. The token of a name that is no longer there is forgotten."""
    before: dict[str, str] = yaml.safe_load(vault.read("tokens.yml") or b"") or {}
    after = {name: (not renew and before.get(name)) or secrets.token_urlsafe(32) for name in sorted({str(name) for name in names})}
    if after != before:
        vault.write("tokens.yml", yaml.safe_dump(after).encode(), private=True)
    return after


def former_tokens(found: Hashes, made: Mapping[str, str]) -> Hashes:
    """Return the hashes of tokens that were good before: those at the server that are not today's, of names that there still are."""
    today = {name: "sha256:" + hashlib.sha256(token.encode()).hexdigest() for name, token in made.items()}
    former = {name: sorted(set(found.get(name, ())) - {hashed}) for name, hashed in today.items()}
    return {name: hashed for name, hashed in former.items() if hashed}


def fleet_name(vault: Vault, folder: str, known: str) -> str:
    """Return the fleet's name, by which a client knows whether it was moved to another one; it outlives every key and every host."""
    name = known or (vault.read("fleet.id") or b"").decode().strip() or f"{folder}-{secrets.token_hex(4)}"
    if f"{name}\n".encode() != vault.read("fleet.id"):
        vault.write("fleet.id", f"{name}\n".encode(), private=False)
    return name


def refusal(vault: Vault, found: Found, renew: Iterable[str] = ()) -> str:
    """Return why this controller must not make anew what it lacks, for another one has it; empty if it may."""
    key, certificates = _key(vault, "ca"), _certificates(vault.read("ca.crt") or b"")
    wanted = {"ca.key": bool(found.trusted), "tokens.yml": bool(found.tokens), "graphs.key": found.graphs and "graphs" not in renew}
    missing = [name for name, there in wanted.items() if there and vault.read(name) is None]
    if missing:
        return f"the fleet has identities already, and {vault.folder} on this controller has no {' and no '.join(missing)}"
    if found.trusted and not any(_public(found.trusted[0]) == _public(own) for own in certificates) and not _of(found.trusted[0], key):
        return f"the fleet trusts another authority than the one in {vault.folder} on this controller"
    return ""


def graph_key(vault: Vault, renew: bool = False) -> ed25519.Ed25519PrivateKey:
    """Return the key that signs graphs for this fleet's clients."""
    found = None if renew else vault.read("graphs.key")
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
    """Return a key and its certificate; None without them, or where a run was cut between the two."""
    key, certificates = _key(vault, name), _certificates(vault.read(f"{name}.crt") or b"")
    return (key, certificates[0]) if key is not None and certificates and _of(certificates[0], key) else None


def _key(vault: Vault, name: str) -> ec.EllipticCurvePrivateKey | None:
    text = vault.read(f"{name}.key")
    if text is None:
        return None
    key = serialization.load_pem_private_key(text, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _certificates(text: bytes) -> tuple[x509.Certificate, ...]:
    """Return those in a file; what a person put there instead is none."""
    try:
        return tuple(x509.load_pem_x509_certificates(text))
    except ValueError:
        return ()


def _public(of: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    return of.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _of(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> bool:
    return key is not None and _public(certificate) == _public(key)


def _hashes(*files: bytes) -> Hashes:
    """Return the hashes in token files of the server's."""
    found: dict[str, set[str]] = {}
    for file in files:
        try:
            content = tomllib.loads(file.decode())
        except ValueError:
            continue
        for section, prefix in (("clients", ""), ("http", "http:")):
            for name, value in content.get(section, {}).items():
                entry = value.get("hash", []) if isinstance(value, dict) else value
                found.setdefault(prefix + name, set()).update([entry] if isinstance(entry, str) else entry)
    return {name: sorted(hashed) for name, hashed in found.items()}


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, TypeError, ValueError):
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
        _, given = self.validate_argument_spec(
            {
                "folder": {"type": "path", "required": True},
                "server_names": {"type": "list", "elements": "str", "required": True},
                "names": {"type": "list", "elements": "str", "required": True},
                "graph": {"type": "path"},
                "reveal": {"type": "bool", "default": False},
                "renew": {"type": "list", "elements": "str", "choices": RENEWABLE, "default": []},
                "found": {"type": "dict", "default": {}},
                "takeover": {"type": "bool", "default": False},
                "stage": {"type": "str", "choices": ["ask", "begin", "turn", "end"], "default": "begin"},
                "settled": {"type": "list", "elements": "str", "default": []},
            }
        )
        vault = Vault(Path(given["folder"]), self._loader._vault, self._task.check_mode)
        found, now, renew = _found(given["found"]), dt.datetime.now(dt.UTC), given["renew"]
        refused = refusal(vault, found, renew) if given["stage"] in ("ask", "begin") else ""  # later the fleet has what was made here
        if given["stage"] == "ask":
            return {"changed": False, "refused": refused, "remedy": REMEDY}
        if refused and not given["takeover"]:
            raise AnsibleActionFail(f"Nothing was changed, for {refused}: {REMEDY}")
        ca = authority(vault, now, "ca" in renew, "authority" in renew, found.trusted if refused else ())
        if given["stage"] == "end":
            ca = alone(vault, ca)
        key, certificate = server_certificate(vault, ca, given["server_names"], now, "certificate" in renew)
        made_tokens = tokens(vault, given["names"], "tokens" in renew)
        signer = graph_key(vault, "graphs" in renew)
        signed = signature(signer, Path(given["graph"])) if given["graph"] else ""
        fleet = fleet_name(vault, vault.folder.name, found.fleet if refused or vault.read("fleet.id") is None else "")
        former = {name: hashed for name, hashed in former_tokens(found.tokens, made_tokens).items() if name not in given["settled"]}
        pair = certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key).decode()
        if given["stage"] == "begin" and found.key and found.certificate and stays(found.certificate, ca, given["server_names"], now):
            pair = found.certificate.public_bytes(serialization.Encoding.PEM).decode(), found.key
        outcome = {"changed": bool(vault.changed), "made": vault.changed, "authorities": 1 + len(ca.former), "of_before": sorted(former)}
        if not given["reveal"]:
            return outcome
        return {
            **outcome,
            "tokens": made_tokens,
            "former_tokens": former,
            "ca_certificate": ca.trusted.decode(),
            "server_certificate": pair[0],
            "server_key": pair[1],
            "graph_key": public_text(signer),
            "graph_signature": signed,
            "fleet": fleet,
        }


def _found(files: Mapping[str, str]) -> Found:
    """Read what was looked up on the server's host: base64 by file name, empty for one that is not there."""
    content = {name: base64.b64decode(text) for name, text in files.items()}
    certificates = _certificates(content.get("server.crt", b""))
    return Found(
        trusted=_certificates(content.get("ca.crt", b"")),
        certificate=certificates[0] if certificates else None,
        key=content.get("server.key", b"").decode("ascii", "replace"),
        tokens=_hashes(content.get("tokens.toml", b""), content.get("tokens.former.toml", b"")),
        graphs=bool(content.get("signer.pub")),
        fleet=content.get("fleet.id", b"").decode("ascii", "replace").strip(),
    )
