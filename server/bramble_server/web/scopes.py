"""What a token must open for each path: see :data:`bramble_protocol.scopes.SCOPES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Request

from bramble_protocol.scopes import SCOPES
from bramble_server.web import browsers

View = TypeVar("View", bound=Callable[..., Any])
READS = ("GET", "HEAD", "OPTIONS")


def needs(scope: str) -> Callable[[View], View]:
    """Mark a view: its token must open this. What is not marked needs ``read`` for a GET and ``operate`` for anything else.

    It goes below the route's own decorator::

        @part.post("/reset")
        @needs("admin")
        def reset() -> Response: ...
    """
    assert scope in SCOPES

    def mark(view: View) -> View:
        view.__dict__["scope"] = scope
        return view

    return mark


def needed(app: Flask, request: Request) -> str:
    """Return what the token of a request must open."""
    if request.method in READS and browsers.telltale(request.headers):
        # of a browser a GET only reads, whatever it does for a program; that may need less, and never more
        return "metrics" if scope_of(app.view_functions.get(request.endpoint or ""), request.method) == "metrics" else "read"
    return scope_of(app.view_functions.get(request.endpoint or ""), request.method)


def scope_of(view: Callable[..., Any] | None, method: str) -> str:
    """Return what a program's token must open for a view."""
    scope: str | None = getattr(view, "scope", None)
    return scope or ("read" if method in READS else "operate")
