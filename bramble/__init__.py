"""Bramble for programs and notebooks, and the command ``bramble``.

``bramble.connect`` reaches a server and has its history as tables, ``bramble.simulate`` and ``bramble.experiment`` need none. ``Server``
below them asks one endpoint at a time. Each is loaded when it is asked for, because a client on a Pi has no use for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bramble.api import Server, ServerDown, ServerError, ServerRefused
    from bramble.connection import Fleet, connect
    from bramble.offline import Experimented, Simulated, experiment, simulate
    from bramble_protocol.errors import BrambleError

_FROM = {
    "BrambleError": "bramble_protocol.errors",
    **dict.fromkeys(("Server", "ServerDown", "ServerError", "ServerRefused"), "bramble.api"),
    **dict.fromkeys(("Fleet", "connect"), "bramble.connection"),
    **dict.fromkeys(("Experimented", "Simulated", "experiment", "simulate"), "bramble.offline"),
}

__all__ = [
    "BrambleError", "Experimented", "Fleet", "Server", "ServerDown", "ServerError", "ServerRefused", "Simulated", "connect", "experiment",
    "simulate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FROM[name]), name)
