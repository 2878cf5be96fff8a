"""Groups that an owner sorts clients by, such as ``building=north``: a client says which are its, and a task may be some groups' alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bramble_protocol import fields
from bramble_protocol.errors import ProtocolError

MOST = 16
"""Groups of one client."""
LONGEST = 63
"""Characters of what a group is called, and of what it sorts by."""
KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def from_wire(value: Any, what: str = "groups") -> dict[str, str]:
    """Read and check the wire form, an object of texts.

    Raises
    ------
    ProtocolError
        Naming the first group that is none.
    """
    if not isinstance(value, Mapping) or len(value) > MOST:
        raise ProtocolError(f"{what}: expected an object of at most {MOST} groups")
    read = {fields.text(key, what, LONGEST, KEY): fields.label(name, f"{what}.{key}", LONGEST).strip() for key, name in value.items()}
    if nameless := [key for key, name in read.items() if not name]:
        raise ProtocolError(f"{what}.{nameless[0]}: expected a name, such as north")
    return read


def parse(value: Any) -> dict[str, str]:
    """Read what a person gives: a table, or ``building=north``, one or a list or with commas between.

    Raises
    ------
    ValueError
        In a sentence that says what is expected.
    """
    wanted = "a group is written key=name, such as building=north"
    if not isinstance(value, Mapping):
        if not isinstance(value, str | list | tuple):
            raise ValueError(wanted)
        found: dict[str, str] = {}
        for item in value.split(",") if isinstance(value, str) else value:
            key, equals, name = (part.strip() for part in str(item).partition("="))
            if not equals:
                raise ValueError(wanted)
            if key in found:
                raise ValueError(f"{key[:LONGEST]} is given twice")
            found[key] = name
        value = found
    try:
        return from_wire(value)
    except ProtocolError as error:
        raise ValueError(f"{error}; {wanted}") from None


def told(groups: Mapping[str, str]) -> str:
    """Return them as people read them: ``building=north, floor=2``."""
    return ", ".join(f"{key}={name}" for key, name in sorted(groups.items()))
