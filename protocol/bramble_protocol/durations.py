"""Durations as people write them: ``90``, ``90s``, ``10m``, ``1.5h``, ``1d``."""

from __future__ import annotations

import re
from typing import Any

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: Any) -> Any:
    """Read a duration as seconds; anything that is not a text passes through, for the caller's own check.

    Raises
    ------
    ValueError
        If the text is no duration.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError("expected a duration such as 90s, 10m or 1h")
    return float(match[1]) * _SECONDS[match[2]]
