"""A controller's folder of secrets, and a fleet's authority made in it, without a play."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from ansible.constants import DEFAULT_VAULT_IDENTITY
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity import authority, server_certificate
from ansible_collections.bramble.fleet.plugins.plugin_utils.identity.vault import Vault

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
NAMES = ["hub", "192.168.1.10", "localhost"]


def vault(folder: Path, password: bytes | None = b"open sesame", dry: bool = False) -> Any:
    secrets = [] if password is None else [(DEFAULT_VAULT_IDENTITY, VaultSecret(password))]
    return Vault(folder, VaultLib(secrets), dry)


def make(
    files: Any, names: list[str] = NAMES, now: dt.datetime = NOW, ca: bool = False, certificate: bool = False, replace: bool = False
) -> tuple[Any, Any]:
    made = authority.authority(files, now, ca, replace)
    return made, server_certificate.server_certificate(files, made, names, now, certificate)
