"""Amounts of data as people and their bills write them: ``500000``, ``200M``, ``1.5G``; a K is 1,000 bytes."""

from __future__ import annotations

import re
from typing import Any

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def size(value: Any) -> Any:
    """Read an amount as bytes; anything that is not a text passes through, for the caller's own check.

    Raises
    ------
    ValueError
        If the text is no amount.
    """
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("expected an amount such as 200M or 1.5G")
    return round(float(match[1]) * _BYTES[match[2].lower()])
