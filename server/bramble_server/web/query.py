"""Strict reading of query strings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Flask, g, request

from bramble_protocol.fields import CLIENT_ID
from bramble_protocol.printable import printable
from bramble_server.web.errors import RequestError

Reader = Callable[[str, str], Any]
"""Makes a value of a parameter's text, or refuses it; its name is for the sentence."""
View = TypeVar("View", bound=Callable[..., Any])


def _described(reader: Reader, **schema: Any) -> Reader:
    """Note what a reader takes, as a JSON schema."""
    reader.__dict__["schema"] = schema
    return reader


def schema(reader: Reader) -> dict[str, Any]:
    """Return what a reader takes, as a JSON schema."""
    found: dict[str, Any] = getattr(reader, "schema", {"type": "string"})
    return found


def takes(**readers: Reader) -> Callable[[View], View]:
    """Say which parameters a view takes, and what makes a value of each one's text; a view that does not say so takes none.

    It goes below the route's own decorator, and the view finds the values in :func:`asked`.
    """

    def mark(view: View) -> View:
        view.__dict__["takes"] = readers
        return view

    return mark


def ignored(view: View) -> View:
    """Mark a view that answers whatever is asked of it."""
    view.__dict__["takes"] = None
    return view


def register(app: Flask) -> None:
    """Have every query read before its view is called, so that none goes unread.

    A parameter that the view does not take, one given twice, or a value that its reader refuses is a 400.
    """

    @app.before_request
    def read() -> None:
        view = app.view_functions.get(request.endpoint or "")
        readers = getattr(view, "takes", {}) if view else None
        g.asked = {} if readers is None else _read(readers)


def asked() -> dict[str, Any]:
    """Return each parameter's value of the request that is answered, ``None`` for one that is not given."""
    values: dict[str, Any] = g.asked
    return values


def _read(readers: Mapping[str, Reader]) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(readers)
    for name, given in request.args.lists():
        if name not in readers:
            known = ", ".join(sorted(readers)) or "none"
            raise RequestError(400, f"{printable(name)[:40]}: not a parameter of {request.path[:100]}; it knows {known}")
        if len(given) > 1:
            raise RequestError(400, f"{name}: given {len(given)} times")
        values[name] = readers[name](given[0], name)
    return values


def integer(low: int, high: int) -> Reader:
    """Read an integer from low to high."""

    def reader(text: str, name: str) -> int:
        if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 and low <= int(text) <= high:
            return int(text)
        raise RequestError(400, f"{name}: expected an integer from {low} to {high}")

    return _described(reader, type="integer", minimum=low, maximum=high)


def integers(low: int, high: int, most: int) -> Reader:
    """Read several different integers from low to high, with commas between."""
    one = integer(low, high)

    def reader(text: str, name: str) -> tuple[int, ...]:
        found = tuple(one(item, name) for item in text.split(","))
        if len(set(found)) < len(found) or len(found) > most:
            raise RequestError(400, f"{name}: expected at most {most} different integers with commas between")
        return found

    return _described(reader, type="string", pattern=r"^[0-9]{1,16}(,[0-9]{1,16})*$")


def seconds(text: str, name: str) -> float:
    """Read a time."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise RequestError(400, f"{name}: expected a time in seconds since 1970")
    return value


def client_id(text: str, name: str) -> str:
    """Read a client's id."""
    if not CLIENT_ID.fullmatch(text):
        raise RequestError(400, f"{name}: expected a client id such as pi-kitchen")
    return text


def text(text: str, name: str) -> str:
    """Read what is looked up afterwards, such as the name of a task."""
    return text


def word(*known: str) -> Reader:
    """Read one of a few words."""

    def reader(text: str, name: str) -> str:
        if text in known:
            return text
        raise RequestError(400, f"{name}: expected {' or '.join(known)}")

    return _described(reader, type="string", enum=list(known))


ORDER = word("newest", "oldest")
"""Which end of a history is meant, where there is more of it than one answer holds."""


def switch(text: str, name: str) -> bool:
    """Read 0 or 1."""
    if text not in ("0", "1"):
        raise RequestError(400, f"{name}: expected 0 or 1")
    return text == "1"


for _reader, _schema in (
    (seconds, {"type": "number"}), (client_id, {"type": "string", "pattern": CLIENT_ID.pattern}),
    (switch, {"type": "string", "enum": ["0", "1"]}),
):  # fmt: skip
    _described(_reader, **_schema)
