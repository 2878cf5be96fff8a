"""Waiting for a condition instead of sleeping for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[..., T | Literal[False] | None], what: str, within: float = 60.0) -> T:
    """Return the condition's first true value; fail, saying what was waited for, if there is none in time."""
    until = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < until, f"waited {within:g} s in vain: {what}"
        time.sleep(0.01)
    return value
