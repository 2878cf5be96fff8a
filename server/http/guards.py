"""Who may ask: known Host names, tokens, and no web page that starts things on somebody's laptop."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, request

from server.http.errors import RequestError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from server.http import Room

LARGEST_BODY = 1 << 16
OPEN_PATHS = ("/healthz",)
"""Paths that need no token."""


def register(app: Flask, room: Room) -> None:
    """Check every request before anything else sees it."""
    # Around Socket.IO too, which answers before Flask sees a request.
    app.wsgi_app = _HostGuard(app.wsgi_app, KnownHosts(room.settings.allowed_hosts), room)  # type: ignore[method-assign]

    @app.before_request
    def guard() -> None:
        if (request.content_length or 0) > LARGEST_BODY:
            raise RequestError(413, f"the body is larger than {LARGEST_BODY} bytes, and nothing here reads one")
        if room.tokens and request.path not in OPEN_PATHS and not _authorized(room):
            sentence = "Authorization: expected 'Bearer' and a token that this server knows"
            room.complaints.about(f"HTTP from {request.remote_addr}", f"{request.method} {request.path[:100]} refused: {sentence}")
            raise RequestError(401, sentence, {"WWW-Authenticate": "Bearer"})

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def _authorized(room: Room) -> bool:
    assert room.tokens is not None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    if room.tokens.http(token.strip()):
        return True
    return request.path.startswith("/graphs/") and room.tokens.any_client(token.strip())


def only_on_purpose() -> None:
    """Refuse what a browser does by itself or for another site's page; for paths that start something.

    A page cannot leave ``Sec-Fetch-Site`` out or set it (https://www.w3.org/TR/fetch-metadata/); ``Origin`` covers older
    browsers' POST.

    Raises
    ------
    RequestError
        403, or 405 for HEAD.
    """
    if request.method == "HEAD":
        raise RequestError(405, f"HEAD is not taken at {request.path}: it would start something", {"Allow": "GET, POST"})
    purpose = " ".join(request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz")).lower()
    if "prefetch" in purpose or "prerender" in purpose or "preview" in purpose:
        raise RequestError(403, "Sec-Purpose: a prefetch starts nothing")
    if request.headers.get("Sec-Fetch-Site", "none").lower() == "cross-site":
        raise RequestError(403, "Sec-Fetch-Site: a page of another site starts nothing here")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("Host", ""):
        raise RequestError(403, "Origin: a page of another site starts nothing here")


class KnownHosts:
    """Names that a ``Host`` header may have: loopback, addresses, this machine's own, ``.local``, and those of the settings.

    A page that makes its own name resolve to this machine (DNS rebinding) shows that name here, and fails.

    Parameters
    ----------
    more
        Further names, separated by commas.
    """

    def __init__(self, more: str = "") -> None:
        own = socket.gethostname().lower()
        self._names = {"localhost", own, own.partition(".")[0], *more.lower().replace(",", " ").split()}

    def know(self, header: str) -> bool:
        """Whether a ``Host`` header names this server."""
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


class _HostGuard:
    def __init__(self, app: WSGIApplication, hosts: KnownHosts, room: Room) -> None:
        self._app, self._hosts, self._room = app, hosts, room

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", ""))
        if self._hosts.know(host):
            return self._app(environ, start_response)
        sentence = "Host: not a name of this server; if it should be, add it to --allowed-hosts"
        self._room.complaints.about(f"HTTP from {environ.get('REMOTE_ADDR')}", f"refused: {host!r} is not a name of this server")
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [json.dumps({"error": sentence}).encode()]
