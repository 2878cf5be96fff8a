"""What a host is called in the fleet, and where its inventory keeps its secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What the contract takes."""


def bramble_id(host: str) -> str:
    """Return a host's name as a client id: ``eiche.local`` is ``eiche``, ``Weide_2`` is ``weide-2``, ``10.0.0.7`` is ``10-0-0-7``."""
    if CLIENT_ID.fullmatch(host):
        return host
    return re.sub(r"[^a-z0-9]+", "-", host.lower().removesuffix(".local")).strip("-")[:63].strip("-") or "client"


def bramble_inventory_name(sources: Sequence[str]) -> str:
    """Return the name of an inventory from what ``-i`` was given: the folder in which ``hosts.yml`` lies, or that folder itself.

    The implicit localhost, on which secrets are made, belongs to no inventory file and has none of its variables.
    """
    path = Path(sources[0])
    return (path.parent if path.suffix in (".yml", ".yaml", ".ini", ".json") else path).resolve().name or "default"


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filters by name."""
        return {"bramble_id": bramble_id, "bramble_inventory_name": bramble_inventory_name}
