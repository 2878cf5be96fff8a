"""The tokens by which the server knows its clients, and whoever comes over HTTP; it keeps no more than their hashes."""

from __future__ import annotations

import hashlib
import secrets
import tomllib
from collections.abc import Mapping

import yaml  # type: ignore[import-untyped]

from .vault import Vault

FILE = "tokens.yml"
Hashes = dict[str, list[str]]
"""Hashes of tokens by name; of HTTP tokens with ``http:`` before it."""


def tokens(vault: Vault, names: list[str], renew: bool) -> dict[str, str]:
    """Return a token for each name: 256 random bits. The token of a name that is no longer there is forgotten."""
    before = _load(vault)
    after = {name: (not renew and before.get(name)) or secrets.token_urlsafe(32) for name in sorted({str(name) for name in names})}
    if after != before:
        vault.write(FILE, yaml.safe_dump(after).encode(), private=True)
    return after


def former_tokens(found: Hashes, made: Mapping[str, str]) -> Hashes:
    """Return the hashes of tokens that were good before: those at the server that are not today's, of names that there still are."""
    today = {name: "sha256:" + hashlib.sha256(token.encode()).hexdigest() for name, token in made.items()}
    former = {name: sorted(set(found.get(name, ())) - {hashed}) for name, hashed in today.items()}
    return {name: hashed for name, hashed in former.items() if hashed}


def hashes(*files: bytes) -> Hashes:
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


def _load(vault: Vault) -> dict[str, str]:
    content = vault.private(FILE)
    try:
        found = {} if content is None else yaml.safe_load(content)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(part, str) and part for item in found.items() for part in item):
        raise vault.damaged(FILE, "it is no table of names and tokens")
    return found
