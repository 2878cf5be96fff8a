"""Waiting for a condition instead of sleeping for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[..., T | Literal[False] | None],
    what: str,
    within: float = 60.0,
    every: float = 0.01,
    despite: tuple[type[BaseException], ...] = (),
) -> T:
    """Return the condition's first true value; fail, saying what was waited for, if there is none in time.

    Parameters
    ----------
    every
        Seconds between two looks.
    despite
        Errors of the condition that mean: not yet.
    """
    end, problem = time.monotonic() + within, ""
    while True:
        try:
            value, problem = condition(), ""
        except despite as error:
            value, problem = None, f" (last: {error})"
        if value:
            return value
        assert time.monotonic() < end, f"waited {within:g} s in vain: {what}{problem}"
        time.sleep(every)
