"""Amounts as people write them: durations (``90``, ``90s``, ``10m``, ``1.5h``, ``1d``) and sizes (``500000``, ``200M``, ``1.5G``).

A size's K is 1,000 bytes, as bills have it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)


def seconds(value: Any) -> Any:
    """Read a duration as seconds; anything that is not a text passes through, for the caller's own check.

    Raises
    ------
    ValueError
        If the text is no duration.
    """
    return _read(value, _DURATION, _SECONDS, "expected a duration such as 90s, 10m or 1h") if isinstance(value, str) else value


def size(value: Any) -> Any:
    """Read a size as bytes; anything that is not a text passes through, for the caller's own check.

    Raises
    ------
    ValueError
        If the text is no size.
    """
    return round(_read(value, _SIZE, _BYTES, "expected an amount such as 200M or 1.5G")) if isinstance(value, str) else value


def _read(text: str, pattern: re.Pattern[str], units: Mapping[str, float], wanted: str) -> float:
    match = pattern.fullmatch(text.strip())
    if match is None:
        raise ValueError(wanted)
    return float(match[1]) * units[match[2].lower()]
