"""The endpoints. They decide nothing: what happens is the coordinator's, what was is the store's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask

from bramble_protocol.printable import printable
from bramble_server.fleet.rate_limited_log import RateLimitedLog
from bramble_server.fleet.registry import Registry
from bramble_server.fleet.tokens import Tokens
from bramble_server.foundation import Foundation
from bramble_server.loop import Loop
from bramble_server.metrics import Metrics
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.coordinator import Coordinator
from bramble_server.settings import ServerSettings
from bramble_server.store import Store
from bramble_server.web import (
    audit,
    clients,
    errors,
    evaluations,
    guards,
    model,
    monitor,
    openapi,
    query,
    readings,
    rounds,
    starters,
    status,
    tasks,
)


@dataclass(frozen=True)
class Services:
    """What the endpoints work with."""

    settings: ServerSettings
    store: Store
    archive: Archive
    registry: Registry
    coordinator: Coordinator
    loop: Loop
    metrics: Metrics
    limited_log: RateLimitedLog
    tokens: Tokens | None
    largest: int
    """Bytes that a client's message may have."""
    text: int
    """Characters of JSON that it may have."""

    @property
    def tracks(self) -> Sequence[Foundation]:
        """What each task is built on; the first is meant where none is named."""
        return self.coordinator.foundations

    def track(self, task: str | None) -> Foundation:
        """Return what a task is built on.

        Raises
        ------
        RequestError
            404 if it is not served.
        """
        served = {track.task: track for track in self.tracks}
        if task is not None and task not in served:
            raise errors.RequestError(404, f"task: {printable(task)[:63]!r} is not served here; there is {', '.join(served)}")
        return self.tracks[0] if task is None else served[task]

    def never_seen(self) -> list[str]:
        """Return the ids that have a token and never connected; without tokens nobody knows of any."""
        return self.registry.strangers(self.tokens.clients()) if self.tokens else []


def register(app: Flask, services: Services) -> None:
    """Give an application every endpoint, behind the guards."""
    errors.register(app, services.limited_log)
    guards.register(app, services)
    query.register(app)
    audit.register(app, services)
    for part in (starters, status, clients, rounds, evaluations, model, readings, monitor, tasks, audit, openapi):
        app.register_blueprint(part.blueprint(services))
