"""Waiting for a condition on another host: it is asked less often, and may fail while the host starts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TypeVar

from tests.waiting import wait_for

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, within: float = 60.0, every: float = 0.3) -> T:
    """Return the condition's first true value; fail by name after ``within`` seconds."""
    return wait_for(condition, what, within, every, (OSError, RuntimeError, subprocess.TimeoutExpired))
