"""The address of a server as settings give it to a client, an inspector or a command."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

WANTED = "expected the server's address, such as http://192.168.1.10:5000 or https://host.example/bramble"


def server_address(text: str) -> str:
    """Return an address without its last slash.

    Raises
    ------
    ValueError
        If it is none, or holds a password: addresses are shown and logged, and a token has a file of its own.
    """
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and not url.query and not url.fragment
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(WANTED)
    if "@" in url.netloc:
        raise ValueError(f"{WANTED}, with no user or password in it: give a token with --token-file")
    return text.rstrip("/")


def on_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens on an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
