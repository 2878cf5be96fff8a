"""Selections by name: whom a round asks. A new one is a file beside ``uniform.py`` and a line here, or a package's entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bramble_server.learning import parameters
from bramble_server.learning.offered import Offered
from bramble_server.learning.parameters import Chosen
from bramble_server.learning.selection.adaptivetiers import AdaptiveTiers
from bramble_server.learning.selection.base import Call, Known, Selection, cohort
from bramble_server.learning.selection.leastrecent import LeastRecent
from bramble_server.learning.selection.loss import Loss
from bramble_server.learning.selection.oort import Oort
from bramble_server.learning.selection.poisson import Poisson
from bramble_server.learning.selection.samples import Samples
from bramble_server.learning.selection.tiers import Tiers
from bramble_server.learning.selection.uniform import Uniform

SELECTIONS: dict[str, type[Selection]] = {
    "uniform": Uniform,
    "samples": Samples,
    "loss": Loss,
    "least-recent": LeastRecent,
    "tiers": Tiers,
    "adaptive-tiers": AdaptiveTiers,
    "oort": Oort,
    "poisson": Poisson,
}
"""Those that come with Bramble. No package can take one of these names."""
GROUP = "bramble.selection"
OFFERED = Offered("selection", GROUP, SELECTIONS, Selection)
"""All that there are."""

__all__ = ["GROUP", "OFFERED", "SELECTIONS", "Call", "Choice", "Known", "Selection", "cohort", "named"]


@dataclass(frozen=True)
class Choice(Chosen):
    """A selection and what was set of it."""

    kind: type[Selection]

    def cohort(self, call: Call, clients: list[str]) -> tuple[str, ...]:
        """Return the clients that a round asks, as :func:`cohort` does."""
        return cohort(self.kind(self.parameters), call, clients)


def named(name: str, options: Mapping[str, Any]) -> Choice:
    """Return what a server is to go by.

    Raises
    ------
    BrambleError
        If there is no such selection or parameter, or a value is of another type or out of range.
    """
    found = OFFERED.kind(name)
    return Choice(name, parameters.read(found.takes, options, name, "selection_option"), found)
