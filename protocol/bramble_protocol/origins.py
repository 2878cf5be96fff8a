"""Whether a request was meant for this machine, and no page of another site makes a browser send it.

Two ways lead from such a page to a server on the same machine or in its network: a request across sites, which ``Sec-Fetch-Site`` and
``Origin`` tell, and DNS rebinding, where a foreign name suddenly means this machine, which ``Host`` tells. No page can leave these
headers out or set them (https://fetch.spec.whatwg.org/#forbidden-request-header, https://www.w3.org/TR/fetch-metadata/).
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Protocol
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class Headers(Protocol):
    """A request's headers, whose names are read in any case."""

    def get(self, name: str, /) -> str | None:
        """Return the value of one, or None."""


class KnownHosts:
    """Names that a ``Host`` header may have: loopback, addresses, this machine's own, ``.local``, and those of the settings.

    A name can be pointed at this machine by anyone who owns it; an address cannot, and no foreign DNS server answers for ``.local``.

    Parameters
    ----------
    more
        Further names, separated by commas.
    """

    def __init__(self, more: str = "") -> None:
        own = socket.gethostname().lower()
        self._names = {"localhost", own, own.partition(".")[0], *more.lower().replace(",", " ").split()}

    def know(self, header: str) -> bool:
        """Whether a ``Host`` header names this machine."""
        try:
            name = (urlsplit(f"//{header}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._names or name.endswith((".local", ".localhost")):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def foreign(headers: Headers, scheme: str | None) -> str | None:
    """Return the header by which a request comes from another origin's page, or None.

    Every browser says of a POST where it comes from, in ``Origin`` (``null`` where a page hides it), and newer ones in
    ``Sec-Fetch-Site`` as well. The latter is the browser's own word on the address that it asked, so it holds behind a proxy too.
    Browsers send it only to https and loopback, and to them another port of one host is the same site: so neither is enough.

    Parameters
    ----------
    scheme
        How this server was reached, ``http`` or ``https``; None where a proxy may have been, of which nothing is known.
    """
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None:
        return None if site.strip().lower() == "same-origin" else "Sec-Fetch-Site"
    if origin is None:
        return None
    own = f"{scheme or origin.partition(':')[0]}://{headers.get('Host') or ''}"
    return None if _origin(origin) == _origin(own) is not None else "Origin"


def _origin(text: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port; None for what is no origin, such as ``null``."""
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname.rstrip("."), port
