"""What the clients of a round are asked: all the same model, and each how it is to train."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import replace

from bramble_protocol.graph import GraphFile
from bramble_protocol.kinds import counted
from bramble_protocol.messages import Champion, ClientUpdate, SecureTerms, TrainConfig
from bramble_server.learning import codec
from bramble_server.learning.counting import threshold
from bramble_server.learning.strategies import Plan
from bramble_server.rounds.view import Model
from bramble_server.settings import ServerSettings

NOBODY: Mapping[str, tuple[int, ...]] = {}
Kind = tuple[TrainConfig, Hashable, tuple[int, ...]]
"""What tells apart what clients of one round are asked."""


class Request:
    """``client_update`` of one round, one object for all clients that are to train alike.

    Parameters
    ----------
    task
        What the task is called here.
    plan
        What each client is asked.
    forecast
        The channel in which they mirror their forecasts, where it is not the target's own.
    champion
        What they are to test on the same windows, and to use.
    abandoned
        Of each client in which rounds it was asked for answers that came to nothing.
    secure
        On what terms their answers are masked, if they are.
    """

    def __init__(
        self, number: int, task: str, graph: GraphFile, model: Model, settings: ServerSettings, plan: Mapping[str, Plan],
        forecast: str | None = None, champion: Champion | None = None, abandoned: Mapping[str, tuple[int, ...]] = NOBODY,
        secure: SecureTerms | None = None,
    ) -> None:  # fmt: skip
        self.secure = secure
        manifest, back = graph.manifest, codec.named(settings.codec, settings.codec_option).encoding
        update = ClientUpdate(
            number, task, graph.sha256, manifest.layout, settings.encoding, back, model.weights, manifest.config,
            forecast=forecast, champion=champion, secure=secure,
        )  # fmt: skip
        if counted(manifest):
            above = threshold(manifest, model.counts)
            plan = {client: replace(its, extras=replace(its.extras, counts=True, threshold=above)) for client, its in plan.items()}
        self._kinds = {client: (its.config, its.extras.kind, abandoned.get(client, ())) for client, its in plan.items()}
        self._updates: dict[Kind, ClientUpdate] = {}
        for client, kind in self._kinds.items():
            if kind not in self._updates:
                its = plan[client]
                self._updates[kind] = replace(update, config=its.config, extras=its.extras, abandoned=abandoned.get(client, ()))

    def pack(self, ways: Collection[tuple[str, ...]]) -> None:
        """Encode it for clients of these sets of features. Blocks; what goes out afterwards does not."""
        for update in self._updates.values():
            for features in ways:
                update.pack(features)

    def let_go(self) -> None:
        """Forget the encoded forms: the round is over, and the model is kept only for who trains from it still."""
        for update in self._updates.values():
            update.packed.let_go()

    def to(self, client: str) -> ClientUpdate:
        """Return what one client is asked."""
        return self._updates[self._kinds[client]]

    def __iter__(self) -> Iterator[tuple[list[str], ClientUpdate]]:
        """Yield those clients that are asked alike, and what."""
        alike: dict[Kind, list[str]] = {}
        for client, kind in self._kinds.items():
            alike.setdefault(kind, []).append(client)
        for kind, clients in alike.items():
            yield clients, self._updates[kind]
