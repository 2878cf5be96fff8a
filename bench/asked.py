"""What a benchmark is asked for in the environment, and how it says that it cannot do it."""

from __future__ import annotations

import os
from collections.abc import Collection


class Refused(Exception):
    """A benchmark cannot be run here, or not as it was asked for; the sentence says what to do."""


def whole_number(name: str, default: int, least: int = 1) -> int:
    """Return a variable of the environment as a number."""
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise Refused(f"{name}={text}: it has to be a whole number from {least} on")
    return int(text)


def span(name: str, count: int) -> range:
    """Return which of so many things a variable of the environment asks for: ``3`` the first three, ``5-8`` four of them, else all."""
    text = os.environ.get(name, f"1-{count}")
    first, dash, last = text.rpartition("-")
    if not (last.isdecimal() and (first or "1").isdecimal() and 1 <= int(first or 1) <= int(last) <= count) or (dash and not first):
        raise Refused(f"{name}={text}: it has to be a number up to {count}, or two with - between them")
    return range(int(first or 1) - 1, int(last))


def some_of(name: str, known: Collection[str]) -> list[str]:
    """Return the names that a variable of the environment holds, with commas between them, else all that there are."""
    chosen = os.environ.get(name, ",".join(known)).split(",")
    if unknown := sorted(set(chosen) - set(known)):
        raise Refused(f"{name}: no {', '.join(unknown)}; expected some of {', '.join(known)}")
    return chosen
