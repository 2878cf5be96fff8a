"""Who may talk to the page: this machine's names only, and no other web page.

The inspector starts and resets rounds with the server's token, so a page from elsewhere must not reach it. Two ways lead
there from a browser on the same machine: a request across sites (the ``Origin`` and ``Sec-Fetch-Site`` headers tell), and
DNS rebinding, where a foreign name suddenly means 127.0.0.1 (the ``Host`` header tells).
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, request

logger = logging.getLogger(__name__)


def known_hosts(host: str, more: str) -> frozenset[str]:
    """Return the names a browser may open the page under, besides addresses and names that no foreign DNS server answers for.

    Parameters
    ----------
    host
        What the page is served on.
    more
        Further names, comma-separated.
    """
    name = socket.gethostname().lower()
    names = {"localhost", host.lower(), name, name.split(".")[0]}
    return frozenset(names | {extra.strip().lower() for extra in more.split(",") if extra.strip()})


def install(app: Flask, hosts: Collection[str], scripts: Collection[str]) -> None:
    """Check every request to ``app``, and forbid its pages to fetch anything from elsewhere.

    Parameters
    ----------
    hosts
        Names from ``known_hosts``.
    scripts
        Hashes of the page's inline scripts, for its content security policy.
    """
    # Plotly and the table write style elements; nothing else may come from outside the page's own address
    policy = (
        f"default-src 'self'; script-src 'self' {' '.join(scripts)}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    @app.before_request
    def check() -> tuple[Response, int] | None:
        reason = refusal(hosts)
        if reason is None:
            return None
        logger.warning("refused %s %s: %s", request.method, request.path, reason)
        return jsonify(error=reason), 403

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def refusal(hosts: Collection[str]) -> str | None:
    """Return why the current request is refused, or None."""
    header = request.headers.get("Host", "")
    name = _hostname(header)
    if name is None or not (name in hosts or name.endswith((".local", ".localhost")) or _is_address(name)):
        return f"Host {header!r} is not a name of this inspector; add it with --allowed-hosts if it should be."
    site = request.headers.get("Sec-Fetch-Site", "none")
    opening = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    if site not in ("same-origin", "none") and not opening:
        return "A page from another site may not use this inspector."
    origin = request.headers.get("Origin")
    if origin is not None and _authority(origin) != header.lower():
        return f"Origin {origin!r} may not use this inspector."
    return None


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _hostname(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    # A name can be pointed at this machine by anyone; digits cannot
    try:
        ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    return True
