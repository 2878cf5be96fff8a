"""The way to the server: one rule for the link and for what is fetched over HTTP beside it.

The environment's ``http_proxy`` and its relatives are left out of account, as they would be handed the token: a proxy is
used only where ``--proxy`` names it, and then for everything.
"""

from __future__ import annotations

import base64
import ssl
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit

import websocket

NOT_HTTP = "what answers there does not speak HTTP; check the address and the port"


def opener(tls: ssl.SSLContext | None, proxy: str | None) -> urllib.request.OpenerDirector:
    """Return what opens HTTP requests; it follows no redirect, to another server that would then see the token."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _NoRedirect()]
    if proxy:
        handlers.append(_NamedProxy(proxy))
    if tls is not None:
        handlers.append(urllib.request.HTTPSHandler(context=tls))
    return urllib.request.build_opener(*handlers)


def websocket_options(tls: ssl.SSLContext | None, proxy: str | None) -> dict[str, Any]:
    """Return the same rule in the words of websocket-client, which tunnels through a proxy with CONNECT."""
    # websocket-client looks into the environment unless it is given a proxy and a list of hosts that need none.
    options: dict[str, Any] = {"http_proxy_host": "unused", "http_proxy_port": 1, "http_no_proxy": ["*"]}
    if proxy:
        parts = urlsplit(proxy)
        options = {"http_proxy_host": parts.hostname, "http_proxy_port": parts.port or 80, "http_no_proxy": ["-"]}
        options["http_proxy_auth"] = _login(proxy)
    if tls is not None:
        options["sslopt"] = {"context": tls}
    return options


def socketio_path(server: str) -> str:
    """Return where Socket.IO is found on a server that stands under a path of its host."""
    return f"{urlsplit(server).path.strip('/')}/socket.io".lstrip("/")


def speaks_no_http(error: BaseException) -> bool:
    """Whether a request, or a WebSocket's handshake, failed because the answer was not HTTP."""
    garbled = isinstance(error, websocket.WebSocketException) and str(error).startswith(("Invalid status line", "Invalid header"))
    return garbled or isinstance(error, ValueError | IndexError | HTTPException)


def _login(proxy: str) -> tuple[str, str] | None:
    parts = urlsplit(proxy)
    return (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


class _NamedProxy(urllib.request.BaseHandler):
    """Sends every request through one proxy; urllib's own handler leaves out what the environment's ``no_proxy`` names."""

    handler_order = 100  # before the handlers that write the Host header

    def __init__(self, proxy: str) -> None:
        parts = urlsplit(proxy)
        self._address = f"{parts.hostname}:{parts.port or 80}"
        login = _login(proxy)
        self._login = "Basic " + base64.b64encode(":".join(login).encode()).decode() if login else None

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        if self._login:
            request.add_header("Proxy-Authorization", self._login)
        request.set_proxy(self._address, "http")
        return request

    https_request = http_request


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None
