"""Who may ask: known Host names, tokens, and no web page that starts things on somebody's laptop."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from werkzeug.datastructures import EnvironHeaders
from werkzeug.middleware.proxy_fix import ProxyFix

from bramble_protocol.origins import KnownHosts
from bramble_protocol.printable import printable
from bramble_server.fleet.guesses import ThrottledError
from bramble_server.fleet.tokens import Visitor, hash_of
from bramble_server.web import browsers
from bramble_server.web.errors import RequestError
from bramble_server.web.scopes import needed

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from bramble_server.fleet.tokens import Tokens
    from bramble_server.web import Services

LARGEST_BODY = 1 << 16
"""Bytes of a body that a view does not want; one that does says how large it may be."""
OPEN_PATHS = ("/healthz", "/readyz")
"""Paths that need no token."""


def register(app: Flask, services: Services) -> None:
    """Check every request before anything else sees it."""
    # Around Socket.IO too, which answers before Flask sees a request.
    app.wsgi_app = _HostGuard(app.wsgi_app, KnownHosts(services.settings.allowed_hosts), services)  # type: ignore[method-assign]
    if proxies := services.settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, proxies, proxies, x_host=0)  # type: ignore[method-assign]

    @app.before_request
    def guard() -> None:
        wanted = getattr(app.view_functions.get(request.endpoint or ""), "largest_body", None)
        if (request.content_length or 0) > (wanted or LARGEST_BODY):
            what = f"which is the most that {request.path[:100]} takes" if wanted else "and nothing here reads one"
            raise RequestError(413, f"the body is larger than {wanted or LARGEST_BODY} bytes, {what}")
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            header = browsers.foreign(request.headers, request.scheme)
            if header:
                raise RequestError(403, f"{header}: a page of another site starts nothing here")
        if services.tokens and request.path not in OPEN_PATHS:
            _admit(app, services, services.tokens)

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def _admit(app: Flask, services: Services, tokens: Tokens) -> None:
    """Let in whoever shows a token that opens what is asked for; note whose it is in ``g.visitor``."""
    token, asked = _token(), printable(f"{request.method} {request.path[:100]}")
    found = _look(tokens, token) if token else None
    visitor = g.visitor = found if isinstance(found, Visitor) else None
    if visitor is None:
        if found:
            return
        sentence, person = "Authorization: expected 'Bearer' and a token that this server knows", browsers.wants_page(request.headers)
        services.limited_log.about(f"HTTP from {request.remote_addr}", f"{asked} refused: {sentence}", address=request.remote_addr)
        if person:
            # The browser asks for it in a form of its own, and shows it with every request from then on.
            sentence += "; in a browser it is the password, of any user name"
        raise RequestError(401, sentence, {"WWW-Authenticate": 'Basic realm="Bramble", charset="UTF-8"' if person else "Bearer"})
    scope = needed(app, request)
    if scope not in visitor.opens:
        sentence = f"Authorization: the token of {printable(visitor.name)} does not open this; it takes the scope {scope}"
        services.limited_log.about(f"HTTP from {request.remote_addr}", f"{asked} refused: {sentence}", address=request.remote_addr)
        raise RequestError(403, sentence)


def _look(tokens: Tokens, token: str) -> Visitor | bool:
    """Return whose a token is, or whether it is some client's where that is enough."""

    def looked() -> Visitor | bool:
        return tokens.http(token) or (request.path.startswith("/graphs/") and tokens.any_client(token))

    try:
        return tokens.guesses.look(request.remote_addr or "", hash_of(token), looked)
    except ThrottledError as error:
        raise RequestError(429, str(error), {"Retry-After": str(error.seconds)}) from None


def _token() -> str:
    """Return the token that a program shows by ``Bearer``, or a person in the browser's own form by ``Basic``, as the password."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2] if scheme.lower() == "basic" else ""
    except ValueError:
        return ""


class _HostGuard:
    def __init__(self, app: WSGIApplication, hosts: KnownHosts, services: Services) -> None:
        self._app, self._hosts, self._services = app, hosts, services

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers, host = EnvironHeaders(environ), str(environ.get("HTTP_HOST", ""))
        if not self._hosts.know(host):
            sentence = "Host: not a name of this server; if it should be, add it to --allowed-hosts"
            why = f"{host!r} is not a name of this server"
        elif environ.get("PATH_INFO", "").startswith("/socket.io") and browsers.foreign(headers, environ["wsgi.url_scheme"]):
            sentence = why = "Origin: a page of another site may not connect"
        else:
            return self._app(environ, start_response)
        address = str(environ.get("REMOTE_ADDR"))
        self._services.limited_log.about(f"HTTP from {address}", f"refused: {why}", address=address)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [json.dumps({"error": sentence}).encode()]
