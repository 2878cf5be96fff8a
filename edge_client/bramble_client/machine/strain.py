"""Whether this machine is hot, or slowed down by its firmware: then it trains slowly, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from bramble_client.machine import health
from bramble_protocol.health import HOT, NOW, throttling

log = logging.getLogger(__name__)


class Strain:
    """Asks the machine how it is, between two calls of a run.

    Parameters
    ----------
    folder
        The client's data folder.
    changed
        Called when training begins to go slowly, and when it no longer does.
    """

    def __init__(self, folder: Path, changed: Callable[[], None] = lambda: None) -> None:
        self._folder, self._changed = folder, changed
        self.slow = False
        """Whether training goes slowly."""

    def __call__(self) -> bool:
        """Return whether the machine is strained now."""
        why = _strained(health.read(self._folder))
        if why and not self.slow:
            log.warning("this machine is %s: it trains at half its pace until it is better", why)
        elif self.slow and not why:
            log.info("this machine is well again: it trains at its full pace")
        self._note(bool(why))
        return self.slow

    def over(self) -> None:
        """Note that nothing is trained."""
        self._note(False)

    def _note(self, slow: bool) -> None:
        if slow != self.slow:
            self.slow = slow
            self._changed()


def _strained(found: dict[str, float]) -> str | None:
    bits, temperature = int(found.get("health_throttled", 0)) & NOW, found.get("health_cpu_temperature", 0.0)
    if bits:
        return throttling(bits)
    return f"hot ({temperature:.0f} °C)" if temperature >= HOT else None
