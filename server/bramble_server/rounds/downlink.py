"""What the coordinator can send to clients; :class:`bramble_server.transport.emitter.Emitter` does it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

from bramble_protocol.messages import ClientUpdate, Evaluate, GenerateData, SecureTold

log = logging.getLogger(__name__)


class Downlink(Protocol):
    """What the coordinator can send to clients."""

    def ask(self, clients: Iterable[str], update: ClientUpdate) -> None:
        """Send ``client_update`` to those of the clients that are connected."""

    def over(self, clients: Iterable[str], number: int) -> None:
        """Send ``round_over`` to those of the clients that are connected and know it."""

    def secure(self, clients: Iterable[str], told: SecureTold) -> None:
        """Send ``secure`` to those of the clients that are connected and know it."""

    def evaluate(self, clients: Iterable[str], asked: Evaluate) -> None:
        """Send ``evaluate`` to those of the clients that are connected and know it."""

    def generate(self, message: GenerateData) -> None:
        """Send ``generate_data`` to all."""

    def reset(self, clients: Iterable[str] | None = None, task: str | None = None) -> int:
        """Send ``reset`` to these clients, or to all; that of one task only to those that know of several. Return to how many."""


def dismiss(downlink: Downlink, clients: Iterable[str], number: int) -> None:
    """Tell clients that a round goes on without them; what others delivered counts whether they can be told or not."""
    try:
        downlink.over(clients, number)
    except Exception:
        log.exception("round %d: who is not waited for could not be told", number)
