"""Who owns an address, as far as it can be told."""

from __future__ import annotations

import ipaddress


def owner(address: str) -> str:
    """Return what counts as one address: of IPv6 the network of 64 bits, which its owner fills as he likes."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
