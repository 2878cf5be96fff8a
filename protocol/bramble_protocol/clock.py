"""What time it is: told from outside, so that a test or a simulation can have a clock of its own."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The two clocks of the standard library's module ``time``, which itself is one."""

    def monotonic(self) -> float:
        """Return seconds since some moment; nobody turns it back."""

    def time(self) -> float:
        """Return seconds since 1970 UTC, as far as this machine knows."""
