"""Who may talk to the page: this machine's names only, and no other web page.

The inspector starts and resets rounds with the server's token, so a page from elsewhere must not reach it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from flask import Flask, Response, jsonify, request

from bramble_protocol import origins
from bramble_protocol.origins import KnownHosts

logger = logging.getLogger(__name__)


def install(app: Flask, hosts: KnownHosts, scripts: Callable[[], Sequence[str]]) -> None:
    """Check every request to ``app``, and forbid its pages to fetch anything from elsewhere.

    Parameters
    ----------
    hosts
        Names that a browser may open the page under.
    scripts
        Return hashes of the page's inline scripts, for its content security policy; Dash adds its own to them with the first request.
    """

    @app.before_request
    def check() -> tuple[Response, int] | None:
        reason = refusal(hosts)
        if reason is None:
            return None
        logger.warning("refused %s %s: %s", request.method, request.path, reason)
        return jsonify(error=reason), 403

    @app.after_request
    def protect(response: Response) -> Response:
        # Plotly and Mantine write style elements; nothing else may come from outside the page's own address
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; script-src 'self' {' '.join(scripts())}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
            "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def refusal(hosts: KnownHosts) -> str | None:
    """Return why the current request is refused, or None."""
    host = request.headers.get("Host", "")
    if not hosts.know(host):
        return f"Host {host!r} is not a name of this inspector; add it with --allowed-hosts if it should be."
    typed = request.headers.get("Sec-Fetch-Site") == "none"
    opened = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    header = None if typed or opened else origins.foreign(request.headers, None)
    return header and f"A page from another site may not use this inspector ({header})."
