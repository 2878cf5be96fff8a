"""Whose error has risen, and whether alone: one site's is a sensor's or its place's, many sites' is the weather's or the model's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bramble_protocol.health import day

NEAR = 7 * 86400.0
"""Seconds by which two sites' drifts may have begun apart and be one: a front takes days to cross a country, and a test days to find it."""
SHARED = 1 / 3
"""Part of the other sites that must drift too for it to be no one's own."""
FEW = 3
"""Other sites below which nobody can tell."""


@dataclass(frozen=True)
class Drift:
    """What is known of one site's."""

    since: float
    """The beginning of its first day, seconds since 1970 UTC."""
    also: int
    """Other sites whose error rose at about that time."""
    others: int
    """Other sites that there are."""

    @property
    def alone(self) -> bool | None:
        """Whether it is the site's own; None where there are too few others to tell."""
        return None if self.others < FEW else self.also < SHARED * self.others

    def told(self, task: str) -> str:
        """Return it in words, with what to look at."""
        risen = f"the error of {task} is higher here since {day(self.since)}"
        if self.alone is None:
            return f"{risen}: look at its sensors and where it stands, or the weather has changed; with so few others nobody can tell"
        if self.alone:
            return f"{risen}, and not at the others: look at its sensors and where it stands"
        return f"{risen}, as at {self.also} of the {self.others} others: the weather has changed"


def compared(drifted: Mapping[str, float | None]) -> dict[str, Drift]:
    """Compare sites.

    Parameters
    ----------
    drifted
        Of each site that takes part in a task, since when its error is higher, or None.
    """
    found = {name: since for name, since in drifted.items() if since is not None}
    return {
        name: Drift(since, sum(abs(other - since) <= NEAR for other in found.values()) - 1, len(drifted) - 1)
        for name, since in found.items()
    }
