"""What a host is called in the fleet, where its inventory keeps its secrets, and what its units may reach and take."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.bramble.fleet.plugins.plugin_utils.names import client_id

PRIVATE = ["localhost", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"]
"""Where a name of the local network may lead, and where whoever knows it may be."""


def bramble_inventory_name(sources: Sequence[str]) -> str:
    """Return the name of an inventory from what ``-i`` was given: the folder in which ``hosts.yml`` lies, or that folder itself.

    The implicit localhost, on which secrets are made, belongs to no inventory file and has none of its variables.
    """
    path = Path(sources[0])
    return (path.parent if path.is_file() or path.suffix in (".yml", ".yaml", ".ini", ".json") else path).resolve().name or "default"


def bramble_reach(urls: str | Sequence[str], also: Sequence[str] = ()) -> list[str]:
    """Return the addresses that a unit needs for server, proxy or broker at a URL, or at several; nothing if they cannot be known.

    A name of one word or below ``.local`` is one of the local network. Any other may lead anywhere, today and tomorrow.
    """
    needed = [_reach(url, also) for url in ([urls] if isinstance(urls, str) else urls)]
    return list(dict.fromkeys(address for addresses in needed for address in addresses)) if all(needed) else []


def _reach(url: str, also: Sequence[str]) -> list[str]:
    host = urlsplit(url).hostname or ""
    try:
        return [*also, str(ipaddress.ip_address(host.partition("%")[0]))]
    except ValueError:
        return [*also] if host == "localhost" and also else PRIVATE if "." not in host or host.endswith(".local") else []


def bramble_unknown_hosts(names: Sequence[str]) -> list[str]:
    """Return the names that a server answers to only if it is told so: neither addresses nor loopback's nor ones in ``.local``."""
    return sorted(
        {name.lower() for name in map(str, names) if name != "localhost" and not name.endswith(".local") and not _is_address(name)}
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def bramble_networks(given: Sequence[str]) -> str:
    """Return addresses and networks as a unit names them; what is neither is refused, for systemd would leave it out and allow nothing.

    Raises
    ------
    ValueError
        For a text that is none.
    """
    for text in map(str, given):
        try:
            _ = text in ("any", "localhost", "link-local", "multicast") or ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                f"{text!r} is neither an address nor a network: write client_reach and inspector_reach as [192.168.1.10, 10.0.0.0/8]"
            ) from None
    return " ".join(map(str, given))


def bramble_memory(base: int, graphs: Sequence[Mapping[str, str]], times: int) -> int:
    """Return megabytes: the base, and so many times the size of each graph (see ``bramble_tasks``) that is there."""
    paths = [Path(each["graph"]) for each in graphs]
    return base + sum(times * -(-path.stat().st_size >> 20) for path in paths if path.is_file())


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        functions = (bramble_inventory_name, bramble_memory, bramble_networks, bramble_reach, bramble_unknown_hosts)
        return {"bramble_id": client_id, **{function.__name__: function for function in functions}}
