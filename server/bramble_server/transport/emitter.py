"""What the server sends to clients, by their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bramble_protocol.features import EVALUATE, ROUND_OVER, SECURE, TRACKS
from bramble_protocol.messages import ClientUpdate, Evaluate, GenerateData, Notice, Reset, RoundOver, SecureTold
from bramble_server.fleet.registry import Registry
from bramble_server.transport.port import Transport

LARGE = 1 << 20
"""Bytes of a model from which on it is encoded in a thread, while heartbeats go on; a smaller one takes less time than asking a thread."""


class Emitter:
    """Sends messages to clients by their ids. A model that goes to many is encoded once for all who read it alike."""

    def __init__(self, transport: Transport, registry: Registry, offload: Callable[..., Any]) -> None:
        self._transport, self._registry, self._offload = transport, registry, offload

    def ask(self, clients: Iterable[str], update: ClientUpdate) -> None:
        """Send ``client_update`` to those of the clients that are connected, to each as it reads it."""
        clients = list(clients)
        ways = self._registry.by_features(clients)
        if update.weights.nbytes >= LARGE:
            for features in ways:
                if not update.is_packed(features):
                    self._offload(update.pack, features)
        for features, sids in self._registry.by_features(clients).items():  # anew: meanwhile some may have left
            if features in ways:  # who came meanwhile is asked by itself
                self._transport.send(sids, "client_update", update.to_wire(features))

    def notice(self, client: str, notice: Notice) -> None:
        """Tell a client what a person who reads its log should know."""
        self._to([client], "notice", notice.to_wire(), since=2)

    def over(self, clients: Iterable[str], number: int) -> None:
        """Send ``round_over`` to those of the clients that are connected and know it."""
        self._to(clients, "round_over", RoundOver(number).to_wire(), feature=ROUND_OVER)

    def secure(self, clients: Iterable[str], told: SecureTold) -> None:
        """Send ``secure`` to those of the clients that are connected and know it."""
        self._to(clients, "secure", told.to_wire(), feature=SECURE)

    def evaluate(self, clients: Iterable[str], asked: Evaluate) -> None:
        """Send ``evaluate`` to those of the clients that are connected and know it."""
        self._to(clients, "evaluate", self._offload(asked.to_wire), feature=EVALUATE)

    def generate(self, message: GenerateData) -> None:
        """Send ``generate_data`` to all."""
        self._to(self._registry.connected(), "generate_data", message.to_wire())

    def reset(self, clients: Iterable[str] | None = None, task: str | None = None) -> int:
        """Send ``reset`` to these clients, or to all; that of one task only to those that know of several. Return to how many."""
        told = self._registry.connected() if clients is None else clients
        return self._to(told, "reset", Reset(task).to_wire(), feature=None if task is None else TRACKS)

    def _to(self, clients: Iterable[str], event: str, payload: dict[str, Any], *, since: int = 1, feature: str | None = None) -> int:
        """Send an event to those of the clients that are connected and speak at least this version of the contract."""
        sids = self._registry.sids(clients, since, feature)
        self._transport.send(sids, event, payload)
        return len(sids)
