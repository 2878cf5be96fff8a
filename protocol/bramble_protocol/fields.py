"""Strict readers for the fields of a message. Each names the field, what it expected and what it got."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from bramble_protocol.errors import ProtocolError

T = TypeVar("T")
CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
CHANNEL_KEY = re.compile(r"[a-z][a-z0-9_.]{0,62}")
LONGEST_KEY = 63
FEATURE = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
INSTANCE = re.compile(r"[A-Za-z0-9_-]*")
MODEL = re.compile(r"[0-9a-f]{16}")
SHA256 = re.compile(r"[0-9a-f]{64}")
YEAR_3000 = 32_503_680_000.0
"""No time of a message is later."""
SENTENCE = 500
"""Longest reason or label that is kept; a longer one is cut, so that no peer can fill a log."""


def mapping(value: Any, what: str, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """Return the value if it is an object with these fields and no others."""
    if not isinstance(value, dict):
        raise ProtocolError(f"{what}: expected an object, got {type(value).__name__}")
    missing = [name for name in required if name not in value]
    if missing:
        raise ProtocolError(f"{what}: missing {', '.join(missing)}")
    unknown = [str(name)[:40] for name in value if name not in required and name not in optional]
    if unknown:
        raise ProtocolError(f"{what}: unknown field {', '.join(sorted(unknown)[:5])}")
    return value


def integer(value: Any, what: str, low: int = 0, high: int = 2**53) -> int:
    """Return an integer from low to high."""
    if type(value) is not int or not low <= value <= high:
        raise ProtocolError(f"{what}: expected an integer from {low} to {high}")
    return value


def integers(value: Any, what: str, low: int = 0, most: int = 64) -> tuple[int, ...]:
    """Return a list of at most so many integers from low on."""
    if not isinstance(value, list) or len(value) > most:
        raise ProtocolError(f"{what}: expected a list of at most {most} integers")
    return tuple(integer(item, f"{what}[{index}]", low) for index, item in enumerate(value))


def number(value: Any, what: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number from low to high."""
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        between = "" if low == -math.inf and high == math.inf else f" from {low:g} to {high:g}"
        raise ProtocolError(f"{what}: expected a finite number{between}")
    return float(value)


def text(value: Any, what: str, longest: int = SENTENCE, pattern: re.Pattern[str] | None = None) -> str:
    """Return a text, at most so long, that matches a pattern as a whole."""
    if not isinstance(value, str) or len(value) > longest:
        raise ProtocolError(f"{what}: expected a text of at most {longest} characters")
    if pattern is not None and not pattern.fullmatch(value):
        raise ProtocolError(f"{what}: {value[:80]!r} does not match {pattern.pattern}")
    return value


def key(value: Any, what: str) -> str:
    """Return the key of a channel."""
    return text(value, what, LONGEST_KEY, CHANNEL_KEY)


def label(value: Any, what: str, longest: int) -> str:
    """Return a text that people will see in tables, at most so long: all of it printable."""
    if not text(value, what, longest).isprintable():
        raise ProtocolError(f"{what}: expected printable text")
    return str(value)


def flag(value: Any, what: str) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        raise ProtocolError(f"{what}: expected true or false")
    return value


def optional(read: Callable[..., T], value: Any, what: str, **limits: Any) -> T | None:
    """Return None for None, and otherwise what the reader makes of the value."""
    return None if value is None else read(value, what, **limits)


def numbers(value: Any, what: str, most: int = 64) -> dict[str, float]:
    """Return a small object of names and finite numbers."""
    if not isinstance(value, dict) or len(value) > most:
        raise ProtocolError(f"{what}: expected an object of at most {most} numbers")
    return {text(key, f"{what} name", 64): number(item, f"{what}.{key}") for key, item in value.items()}
