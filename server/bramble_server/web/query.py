"""Strict reading of query strings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flask import request

from bramble_protocol.fields import CLIENT_ID
from bramble_server.web.errors import RequestError

Reader = Callable[[str, str], Any]


def read(**readers: Reader) -> dict[str, Any]:
    """Return each parameter's value, ``None`` for one that is not given.

    Parameters
    ----------
    **readers
        Parameter -> what makes a value of its text.

    Raises
    ------
    RequestError
        400 for an unknown parameter, one given twice, or a value that its reader refuses.
    """
    values: dict[str, Any] = dict.fromkeys(readers)
    for name, given in request.args.lists():
        if name not in readers:
            known = ", ".join(sorted(readers)) or "none"
            raise RequestError(400, f"{name[:40]}: not a parameter of {request.path[:100]}; it knows {known}")
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

    return reader


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


def switch(text: str, name: str) -> bool:
    """Read 0 or 1."""
    if text not in ("0", "1"):
        raise RequestError(400, f"{name}: expected 0 or 1")
    return text == "1"
