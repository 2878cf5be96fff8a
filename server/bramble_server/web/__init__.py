"""The endpoints. They decide nothing: what happens is the coordinator's, what was is the store's."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from bramble_protocol.graph import GraphFile
from bramble_server.fleet.complaints import Complaints
from bramble_server.fleet.fleet import Fleet
from bramble_server.fleet.tokens import Tokens
from bramble_server.metrics import Metrics
from bramble_server.rounds.archive import Archive
from bramble_server.rounds.coordinator import Coordinator
from bramble_server.rounds.writer import Runtime
from bramble_server.settings import ServerSettings
from bramble_server.store import Store
from bramble_server.web import errors, guards, history, model, monitor, readings, starters


@dataclass(frozen=True)
class Room:
    """What the endpoints work with."""

    settings: ServerSettings
    graph: GraphFile
    signatures: bytes
    """Those of the graph, as a file; empty if nobody signed it."""
    store: Store
    archive: Archive
    fleet: Fleet
    coordinator: Coordinator
    runtime: Runtime
    metrics: Metrics
    complaints: Complaints
    tokens: Tokens | None

    def never_seen(self) -> list[str]:
        """Return the ids that have a token and never connected; without tokens nobody knows of any."""
        return self.fleet.strangers(self.tokens.clients()) if self.tokens else []


def register(app: Flask, room: Room) -> None:
    """Give an application every endpoint, behind the guards."""
    errors.register(app, room.complaints)
    guards.register(app, room)
    for part in (starters, model, history, readings, monitor):
        app.register_blueprint(part.blueprint(room))
