"""What becomes the global model: a round's aggregate once it is judged, or on request the model of an older round."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection

from bramble_protocol.accountant import Release
from bramble_protocol.clock import Clock
from bramble_protocol.graph import Manifest
from bramble_protocol.layout import Weights
from bramble_protocol.messages import TrainConfig
from bramble_protocol.printable import printable
from bramble_server.fleet.registry import Registry
from bramble_server.learning import codec, parameters, selection, strategies
from bramble_server.learning.counting import judged, unseen
from bramble_server.learning.judge import COHORT, RECENT, Judge
from bramble_server.learning.quarantine import Quarantine, pulls
from bramble_server.learning.strategies import Context, Plan, Strategy
from bramble_server.metrics import Metrics
from bramble_server.rounds import headroom
from bramble_server.rounds.champions import Champions, Change, Findings, Rules
from bramble_server.rounds.divergence import length
from bramble_server.rounds.ledger import Budget, Ledger
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.view import Model
from bramble_server.rounds.writer import RefusedError
from bramble_server.settings import ServerSettings
from bramble_server.store import Store, meta, models, rounds, standings
from bramble_server.store.models import Memory

_QUARANTINE = "quarantine"
log = logging.getLogger(__name__)


class End(NamedTuple):
    """What a round comes to beside a model, before it is committed."""

    change: Change
    memory: Memory


class Commits:
    """Commits models, and says whose updates do not count: when that begins and when it is over."""

    def __init__(
        self, settings: ServerSettings, task: str, manifest: Manifest, store: Store, registry: Registry, metrics: Metrics,
        clock: Clock = time,
    ) -> None:  # fmt: skip
        self._manifest = manifest
        self._settings, self._task, self._store, self._registry, self._metrics = settings, task, store, registry, metrics
        self.strategy = strategies.named(settings.strategy, settings.strategy_option)
        self.codec = codec.named(settings.codec, settings.codec_option)
        self._judge, self._clock = Judge(), clock
        self.champions = Champions(task, Rules(settings.champion_bound, settings.champion_rounds, manifest.metric.read))
        self._left_out: set[str] = set()
        coins = selection.named(settings.selection, settings.selection_option).kind.coins
        self.share = float(settings.clients_per_round or 1) if coins else 1.0
        """With what probability each client is asked, where only chance says so; else 1."""
        budget = None if settings.epsilon is None else Budget(settings.epsilon, settings.delta)
        self.ledger = Ledger(task, budget)
        self.quarantine = Quarantine(settings.quarantine, max(COHORT, settings.min_clients, settings.min_updates))
        """Who is asked no more."""

    def recall(self, connection: Connection) -> None:
        """Judge from now on by the rounds that led to the model that is, and say so if another strategy than this one made it."""
        number = max(models.kept(connection, self._task), default=0)
        self.ledger.recall(connection)
        self.quarantine = replace(self.quarantine, **meta.get(connection, _QUARANTINE, {}).get(self._task, {}))
        self._registry.quarantine(self._task, self.quarantine.out)
        self._recalled(number, rounds.lineage(connection, self._task, RECENT), models.memory(connection, number))
        self.champions.take(self.champions.stored(connection))

    def forget(self) -> None:
        """Begin anew, after a reset."""
        self._judge = Judge()
        self.champions.forget()

    def let_back(self, client: str, write: Callable[[Callable[[Connection], None]], None]) -> None:
        """Let a client out of quarantine, to begin anew; ``write`` gives its argument a transaction.

        Raises
        ------
        RefusedError
            If it was not.
        """
        if client not in self.quarantine.out:
            known = ", ".join(sorted(self.quarantine.out)) or "nobody"
            raise RefusedError("not in quarantine", f"{printable(client)[:63]} is not in quarantine for task {self._task}; {known} is")
        after = self.quarantine.released(client)
        write(lambda connection: self._write_quarantine(connection, after))
        self.quarantine = after
        self._shut_out()

    def _shut_out(self) -> None:
        """Have nobody be asked who is in quarantine, and say who is new there."""
        for client in sorted(self._registry.quarantine(self._task, self.quarantine.out)):
            told = self.quarantine.out[client]
            log.warning("task %s: %s is asked no more: it %s; bramble client release %s lets it back", self._task, client, told, client)

    def _write_quarantine(self, connection: Connection, after: Quarantine) -> None:
        if after != self.quarantine:
            meta.put(connection, _QUARANTINE, {**meta.get(connection, _QUARANTINE, {}), self._task: after.to_json()})

    def open(
        self, number: int, clients: Sequence[str], model: Model, config: TrainConfig, after: End | None = None, able: int = 0
    ) -> tuple[Strategy, dict[str, Plan]]:
        """Return the strategy for a round, with what is stored with the model that it starts from, and its plan for these clients.

        ``after`` is what is about to be stored with that model, if it is not committed yet; ``able`` is how many could have been asked,
        where each was by a coin of its own.

        Raises
        ------
        BrambleError
            If there can be no plan, it would not fit into memory, or the store cannot be read.
        """
        strategy = self._remembering(model.round, after and after.memory) if self.strategy.remembers else self.strategy.make()
        headroom.check(strategy, len(clients), len(model.weights), beside=int(self.champions.beside(model) is not None))
        self.ledger.check(self._costs(strategy), number, models=1 if after is None else 2)
        context = Context(number, model.weights, config, expected=self.share * able or None)
        plan = strategies.planned(strategy, context, clients) if clients else {}
        return strategy, plan

    @property
    def release(self) -> Release | None:
        """What a round costs of the privacy budget; None where there is none."""
        return self._costs(self.strategy.make())

    def _costs(self, strategy: Strategy) -> Release | None:
        return strategy.release and replace(strategy.release, share=self.share)

    @property
    def how(self) -> dict[str, Any]:
        """What rounds go by, as JSON can hold it: it is stored with each."""
        chosen = (("strategy", self.strategy), ("codec", self.codec))
        named = {kind: {"name": one.name, "parameters": one.set} for kind, one in chosen}
        return {**named, "discipline": self._settings.rounds_go_by}

    def finish(
        self, open_round: OpenRound, base: Model, going: Mapping[str, int] | None = None,
        also: Callable[[Model, End], Callable[[Connection], None] | None] | None = None,
    ) -> Model:  # fmt: skip
        """Make a round's updates the next model.

        Parameters
        ----------
        base
            The model that it began with.
        going
            If another round follows at once, who trains on for that and the round that each was asked in; it is noted for a process that
            may have to start it.
        also
            Told the model and what belongs to it before anything is written; returns what is written with it, if anything is.

        Raises
        ------
        BrambleError
            If too few of them count, it would be far worse than the last, or the store refuses. All is then as it was.
        """
        aggregate, pooled = open_round.aggregate(self._judge, max(1, self._settings.min_updates))
        counts, told = judged(self._manifest, open_round.counts, base.counts)
        pooled |= told
        if (nobodys := unseen(self._manifest, counts)) and nobodys != unseen(self._manifest, base.counts):
            log.warning(
                "round %d: of all that clients labelled nothing is %s: label some readings so, or leave it out of task %s, for it is not "
                "learnt", open_round.number, ", ".join(nobodys), self._task,
            )  # fmt: skip
        memory = Memory(self.strategy.name, self.strategy.set, aggregate.state, counts)
        change, model = self.found(open_round, base), Model(open_round.number, aggregate.weights, pooled, counts)
        after = self.quarantine
        beside, release = also(model, End(change, memory)) if also else None, self.release

        def write(connection: Connection) -> None:
            nonlocal after
            if self.quarantine.after and (weights := open_round.weights):
                parts, step = open_round.parts(), length(model.weights, base.weights)
                after = self.quarantine.judged(model.round, parts, pulls(parts, weights, step))
            self._write_quarantine(connection, after)
            change.write(connection)
            self.ledger.write(connection, release)
            if beside:
                beside(connection)

        open_round.commit(self._store, aggregate.weights, memory, pooled, self._settings.models_to_keep, going, write)
        self.champions.hold(change)
        self.ledger.hold(release)
        self._judge.committed(pooled)
        self.quarantine = after  # the registry hears of it in `told`, for this is a thread of its own
        return model

    def found(self, open_round: OpenRound, base: Model) -> Change:
        """Return what a round that was judged says of the model that it began with, and of the champion; nothing is written yet.

        Where models are to tell nothing of a client, nobody chooses one by what clients measured: that choice would tell it.
        """
        return self.champions.judge(base, Findings({}) if self.release else open_round.tested(self.champions.number))

    def pin(self, number: int | None) -> int | None:
        """Have the model of a round be the champion whatever comes, or with None none; return which one was or is pinned.

        Raises
        ------
        RefusedError
            If that model is not there.
        """
        former = self.champions.pinned
        with self._store.writing() as connection:
            if number is not None:
                self._known(connection, number)
                standings.crown(connection, self._task, number, pinned=True)
            elif former is not None:
                standings.crown(connection, self._task, former)
            champion = self.champions.stored(connection)
        self.champions.take(champion)
        return former if number is None else number

    def known(self, number: int) -> None:
        """Return if the model of a round is kept.

        Raises
        ------
        RefusedError
            If it is not.
        """
        with self._store.reading() as connection:
            self._known(connection, number)

    def _known(self, connection: Connection, number: int) -> Weights:
        weights = models.get(connection, self._task, number)
        if weights is None:
            there = ", ".join(map(str, models.kept(connection, self._task))) or "none"
            raise RefusedError("unknown model", f"the model of round {number} is not kept; there are those of rounds {there}")
        return weights

    def restore(self, number: int, to: int, why: str | None = None) -> Model:
        """Make the model of round ``to``, and what its strategy remembered, hold again, in one transaction; nothing is deleted.

        Parameters
        ----------
        number
            The commit's own, higher than any before: who has seen a model under a number never sees another under it.
        why
            Where the server goes back by itself.

        Raises
        ------
        RefusedError
            If that model is not there.
        StoreError
            If the store refuses; it is then as before.
        """
        with self._store.writing() as connection:
            weights = self._known(connection, to)
            rounds.trim(connection, self._task, number, self._settings.keep_rounds)
            rounds.rolled_back(connection, self._task, number, to, self._clock.time(), why)
            memory = models.memory(connection, to)
            models.save(connection, self._task, number, weights, memory, self._settings.models_to_keep)
            standings.inherit(connection, number, to)
            if self.champions.pinned in (None, to):  # what is wanted back is what clients are to use
                standings.crown(connection, self._task, number, pinned=self.champions.pinned == to)
            lineage, champion = rounds.lineage(connection, self._task, RECENT), self.champions.stored(connection)
        self._recalled(number, lineage, memory)  # not before it is committed
        self.champions.take(champion)
        self._metrics.forget(self._task)
        log.warning("round %d: rolled back to the model of round %d%s", number, to, f": {why}" if why else "")
        return Model(number, weights, {}, memory.counts)

    def _recalled(self, number: int, lineage: list[dict[str, Any]], memory: Memory) -> None:
        self._judge.recall(lineage)
        if memory.strategy is not None and not self._ours(memory):
            log.warning(
                "strategy: %s goes on from the model of round %d, which %s made, and begins without what that one remembered",
                self.strategy, number, parameters.described(memory.strategy, memory.parameters),
            )  # fmt: skip

    def _ours(self, memory: Memory) -> bool:
        return (memory.strategy, dict(memory.parameters)) == (self.strategy.name, self.strategy.set)

    def _remembering(self, number: int, memory: Memory | None) -> Strategy:
        if memory is None:
            with self._store.reading() as connection:
                memory = models.memory(connection, number)
        strategy = self.strategy.make()
        if memory.state and self._ours(memory):
            try:
                strategy.restore(memory.state)
            except Exception as error:  # another version of the package that it comes from, say
                said = f"{type(error).__name__}: {error}"
                log.warning("strategy: %s begins anew, for it cannot use what it stored with round %d (%s)", self.strategy, number, said)
                return self.strategy.make()
        return strategy

    def told(self, open_round: OpenRound) -> None:
        """Log, count and remark whom a round left out; a sensor stays broken for many rounds, and is named once."""
        self._shut_out()
        number, answered = open_round.number, open_round.answered
        for client, reason in sorted(answered.items()):
            if reason is not None and client not in self._left_out:
                log.warning("round %d: left out %s: %s", number, client, reason)
                self._left_out.add(client)
            elif reason is None and client in self._left_out:
                log.info("round %d: %s counts again", number, client)
                self._left_out.discard(client)
        self._metrics.left_out(self._task, open_round.left_out)
        self._registry.judged(self._task, {name: reason and f"left out of round {number}: {reason}" for name, reason in answered.items()})
