"""Who was away at a reset, and hears of it when it is back: else it would go on with what everybody else forgot."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from bramble_server.fleet.registry import REMEMBERED
from bramble_server.rounds.downlink import Downlink
from bramble_server.store import meta


class MissedResets:
    """The clients that have not heard of a reset: of everything, or of one task."""

    def __init__(self, connection: Connection) -> None:
        self._all = set[str](meta.get(connection, "behind", []))
        self._of = {task: set[str](clients) for task, clients in meta.get(connection, "behind_of", {}).items()}

    def everything(self, absent: Collection[str]) -> None:
        """Note that these are away while everything is reset."""
        self._all, self._of = _bounded(absent, self._all), {}

    def of(self, task: str, absent: Collection[str]) -> None:
        """Note that these are away while one task is reset."""
        self._of[task] = _bounded(absent, self._of.get(task, ()))

    def tell(self, client: str, downlink: Downlink) -> bool:
        """Tell a client that is back; return whether there was anything to tell."""
        tasks = [task for task, clients in self._of.items() if client in clients]
        for clients in self._of.values():
            clients.discard(client)
        if client in self._all:
            self._all.discard(client)
            downlink.reset([client])
            return True
        for task in tasks:
            downlink.reset([client], task)
        return bool(tasks)

    def save(self, connection: Connection) -> None:
        """Write it."""
        meta.put(connection, "behind", sorted(self._all))
        meta.put(connection, "behind_of", {task: sorted(clients) for task, clients in self._of.items() if clients})


def _bounded(now: Collection[str], before: Iterable[str]) -> set[str]:
    return set([*now, *sorted(set(before).difference(now))][:REMEMBERED])
