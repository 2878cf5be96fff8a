"""What the clients of a round are asked: all the same model, and each how it is to train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate, TrainConfig
from bramble_server.rounds.view import Model
from bramble_server.settings import ServerSettings


class Request:
    """``client_update`` of one round, one object for all clients that are to train alike.

    Parameters
    ----------
    plan
        How each client is to train.
    """

    def __init__(self, number: int, graph: GraphFile, model: Model, settings: ServerSettings, plan: Mapping[str, TrainConfig]) -> None:
        manifest = graph.manifest
        update = ClientUpdate(
            number, manifest.task, graph.sha256, manifest.layout, settings.encoding, settings.reply_encoding, model.weights, manifest.config
        )
        self._updates = {config: replace(update, config=config) for config in dict.fromkeys(plan.values())}
        self._plan = plan

    def to(self, client: str) -> ClientUpdate:
        """Return what one client is asked."""
        return self._updates[self._plan[client]]

    def __iter__(self) -> Iterator[tuple[list[str], ClientUpdate]]:
        """Yield those clients that are asked alike, and what."""
        for config, update in self._updates.items():
            yield [client for client, its in self._plan.items() if its == config], update
