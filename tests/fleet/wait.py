"""Wait for a condition, with a bound, instead of for a time."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, within: float = 60.0, every: float = 0.3) -> T:
    """Return the condition's first true value; fail by name after ``within`` seconds."""
    end = time.monotonic() + within
    while True:
        try:
            value = condition()
            problem = ""
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            value, problem = None, f" (last: {error})"
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {within:.0f} s in vain for {what}{problem}")
        time.sleep(every)
