"""What a host is called in the fleet."""

from __future__ import annotations

import re

CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What the contract takes."""


def client_id(host: str) -> str:
    """Return a host's name as a client id: ``eiche.local`` is ``eiche``, ``Weide_2`` is ``weide-2``, ``10.0.0.7`` is ``10-0-0-7``."""
    if CLIENT_ID.fullmatch(host):
        return host
    return re.sub(r"[^a-z0-9]+", "-", host.lower().removesuffix(".local")).strip("-")[:63].strip("-") or "client"
