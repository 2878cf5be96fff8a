"""What the tracks of a server have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bramble_protocol.clock import Clock
from bramble_server.fleet.rate_limited_log import RateLimitedLog
from bramble_server.fleet.registry import Registry
from bramble_server.loop import Loop
from bramble_server.metrics import Metrics
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.downlink import Downlink
from bramble_server.rounds.endings import Endings
from bramble_server.store import Store


@dataclass
class Shared:
    """What the tracks of a server have in common."""

    store: Store
    archive: Archive
    registry: Registry
    downlink: Downlink
    loop: Loop
    metrics: Metrics
    clock: Clock
    limited_log: RateLimitedLog
    endings: Endings
    changed: Callable[[], None]
    """To be called when others should see something else."""
    last: int = 0
    """The highest round number in use: one sequence goes through all tasks."""
