"""Attacks by name, and an accident. A new one is a file beside ``flip.py`` and a line in ``ATTACKS``, or another package's entry point."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bramble.simulation.attacks.backdoor import Backdoor
from bramble.simulation.attacks.base import Attack
from bramble.simulation.attacks.dead import Dead
from bramble.simulation.attacks.flip import Flip
from bramble.simulation.attacks.freeride import FreeRide
from bramble.simulation.attacks.labels import Labels
from bramble.simulation.attacks.scale import Scale
from bramble.simulation.scenario import drawn
from bramble_protocol.errors import BrambleError
from bramble_protocol.graph import Manifest
from bramble_server.learning import parameters
from bramble_server.learning.offered import Offered

NONE = "none"
ATTACKS: dict[str, type[Attack]] = {
    "flip": Flip,
    "scale": Scale,
    "labels": Labels,
    "backdoor": Backdoor,
    "freeride": FreeRide,
    "dead": Dead,
}
GROUP = "bramble.attacks"
OFFERED = Offered("attack", GROUP, ATTACKS, Attack)
"""All that there are."""

__all__ = ["ATTACKS", "GROUP", "NONE", "OFFERED", "Attack", "Attackers", "named"]


@dataclass(frozen=True)
class Attackers:
    """What part of a fleet does what."""

    attack: Attack
    share: float

    def among(self, clients: Collection[str], seed: int) -> frozenset[str]:
        """Return who they are, the same in all rounds: as many of a fleet as the part says, rounded."""
        order = sorted(clients, key=lambda client: drawn(seed, "hostile", client))
        return frozenset(order[: round(self.share * len(order))])


def named(name: str, options: Mapping[str, Any], share: float, manifest: Manifest) -> Attackers | None:
    """Return who attacks a task, as settings say it; None where nobody does.

    Raises
    ------
    BrambleError
        If there is no such attack or parameter, a value is out of range, or it makes no sense against the task.
    """
    if name == NONE:
        if options:
            raise BrambleError(f"attack_option: {next(iter(options))} is of no use without --attack")
        return None
    kind = OFFERED.kind(name)
    if reason := kind.refuses(manifest):
        raise BrambleError(f"attack: {name} makes no sense against task {manifest.task}, which {reason}")
    return Attackers(kind(parameters.read(kind.takes, options, name, "attack_option")), share)
