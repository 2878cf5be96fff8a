"""The page under a path of its host, behind a proxy that may or may not take that path away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def install(app: Flask, prefix: str) -> None:
    """Answer under ``prefix``, such as ``/fleet``, as at the root."""
    if prefix:
        app.wsgi_app = _Under(app.wsgi_app, prefix)  # type: ignore[method-assign]


class _Under:
    def __init__(self, app: WSGIApplication, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        if path == self._prefix:  # without the slash the page's own relative addresses would lead beside it
            start_response("308 Permanent Redirect", [("Location", self._prefix + "/"), ("Content-Length", "0")])
            return [b""]
        if path.startswith(self._prefix + "/"):
            environ["PATH_INFO"] = path.removeprefix(self._prefix)
            environ["SCRIPT_NAME"] = str(environ.get("SCRIPT_NAME", "")) + self._prefix
        return self._app(environ, start_response)
