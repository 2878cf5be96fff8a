"""Whose clock a time is of."""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo


def zone_of(text: str) -> tzinfo:
    """Return the zone of a name such as Europe/Berlin, or of an offset such as +01:00.

    Raises
    ------
    ValueError
        If it is neither.
    """
    try:
        return datetime.fromisoformat(f"2000-01-01T00:00:00{text}").tzinfo or ZoneInfo(text)
    except ValueError:
        try:
            return ZoneInfo(text)
        except (KeyError, ValueError, OSError):
            raise ValueError("expected a zone, such as Europe/Berlin, or an offset, such as +01:00") from None
