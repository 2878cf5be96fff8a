"""Plays rounds: turns what a scenario says into the machine's events, in the order of a simulated clock, and does what it answers."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bramble.simulation.attacks import Attackers
from bramble.simulation.places import Place, Stretch
from bramble.simulation.scenario import Scenario
from bramble.simulation.training import Clock, Training, doubted, reached, score, train
from bramble.simulation.workers import Workers
from bramble_client.learn.trainer import Result
from bramble_protocol.errors import BrambleError
from bramble_protocol.features import FEATURES
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate, Delivery, TrainingComplete
from bramble_protocol.sections import Section
from bramble_server.disk import write_at
from bramble_server.foundation import Foundation
from bramble_server.learning import selection, strategies
from bramble_server.learning.counting import judged
from bramble_server.learning.judge import Judge
from bramble_server.learning.quarantine import Quarantine, pulls
from bramble_server.learning.strategies import Context, Plan, State, planned
from bramble_server.rounds.asking import Request
from bramble_server.rounds.cohorts import Cohort, Cohorts
from bramble_server.rounds.divergence import length
from bramble_server.rounds.machine import (
    Abandon,
    Accept,
    Commit,
    Deadline,
    Dismiss,
    Drop,
    Event,
    Failed,
    Fold,
    Left,
    Open,
    Refuse,
    Rules,
    Start,
    Update,
)  # fmt: skip
from bramble_server.rounds.opening import ABANDONED
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import Header, Record, RoundFile, RoundFileError
from bramble_server.rounds.view import Model


class Scratch(RoundFile):
    """A round's file that need not survive a power cut: a simulation is begun again."""

    def append(self, about: Mapping[str, Any], *vectors: Weights) -> Record:
        """Write vectors alone behind the others: nobody reads such a file but who has its records."""
        data = b"".join(np.ascontiguousarray(vector, "<f4").data for vector in vectors)
        record = Record(about, self._end, len(data), 0)
        try:
            write_at(self._file, data, self._end)
        except OSError as error:
            raise RoundFileError(f"simulation: an update cannot be put aside in {self.path.parent} ({error.strerror})") from error
        self._end += len(data)
        return record

    def sync(self) -> None:
        """Do nothing."""


@dataclass
class Device:
    """A simulated client: its stretch of a place's readings, and what it remembers from round to round."""

    stretch: Stretch
    tested_until: float | None = None
    local_state: str | None = None
    abandoned: tuple[int, ...] = ()
    """In which rounds it was asked for answers that came to nothing."""

    def accepted(self, result: Result) -> None:
        """Remember what the server took."""
        self.tested_until, self.local_state = result.tested_until, result.local_state


@dataclass(frozen=True)
class Played:
    """What became of one round."""

    round: int
    state: str
    """``committed`` or ``abandoned``."""
    reason: str | None
    opened: float
    """Simulated seconds since the beginning."""
    ended: float
    asked: int
    delivered: int
    metrics: Mapping[str, float]
    """The clients' own, pooled as a server does."""
    error: float
    """Mean error of the model on what was held out, over all of its windows; as the task's metric is read, in its unit."""
    baseline: float
    """Likewise, of the baseline."""
    by_place: Mapping[str, float]
    """Error by place."""
    digest: str
    """What tells the model that holds now from any other."""
    parts: Mapping[str, Mapping[str, Any]] = field(repr=False)
    """What is known of each client's part."""
    quarantined: int = 0
    """Clients that are asked no more."""
    reached: float | None = None
    """How far the model does what an attack wants of it at a sign, 0 to 1; None where none wants anything."""


class Simulation:
    """A fleet and its server, in simulated time.

    Parameters
    ----------
    foundation
        What the server is built on: graph and settings of one task.
    stretches
        What the clients know.
    scenario
        What goes on around them.
    seed
        Of everything that is drawn: shuffles, speeds, losses.
    workers
        Hold the graph.
    attackers
        Who attacks, and how, if anybody does.
    judge
        Judges updates beside each other; by default as a server does.
    """

    def __init__(
        self, foundation: Foundation, stretches: Sequence[Stretch], scenario: Scenario, seed: int, workers: Workers,
        attackers: Attackers | None = None, judge: Judge | None = None,
    ) -> None:  # fmt: skip
        self.graph, self._settings = foundation.graph, foundation.settings
        self._scenario, self._seed, self._workers = scenario, seed, workers
        self.choice = strategies.named(self._settings.strategy, self._settings.strategy_option)
        self.choice.check(self.graph.manifest)
        self._config = replace(self._settings.training(self.graph.manifest.config), seed=seed)
        self._devices = {stretch.client: Device(stretch) for stretch in stretches}
        self._joins = {client: scenario.joins(client, seed) for client in self._devices}
        self._attack = attackers.attack if attackers else None
        self._attackers = attackers.among(self._devices, seed) if attackers else ()
        self._places = list({stretch.place.name: stretch.place for stretch in stretches}.values())
        self._clock, self._judge = Clock(), judge or Judge()
        self._memory: State = {}
        self._quarantine = Quarantine(self._settings.quarantine, max(self._settings.min_clients, self._settings.min_updates, 3))
        self._cohorts = Cohorts(self._settings, seed)
        self._machine = foundation.machine
        self._state = self._machine.begin(Rules(self._settings.min_clients, self._settings.min_updates))
        self.model = Model(0, self.graph.initial, {})
        self._baseline: float | None = None
        judged = workers.map(doubted, (((place,), None) for place in self._places))
        self._good = {place.name: good for place, good in zip(self._places, judged, strict=True)}

    def play(self, rounds: int) -> Iterator[Played]:
        """Yield what became of each round, as it ends.

        Raises
        ------
        BrambleError
            If no round can open.
        """
        with tempfile.TemporaryDirectory(prefix="bramble-simulation-") as folder:
            for _ in range(rounds):
                yield self._round(Path(folder) / "open.round")

    def _round(self, path: Path) -> Played:
        self._clock.now = max(self._clock.now, self._enough())
        number, opened = self._state.last + 1, self._clock.now
        here = self._here(number)
        cohort = self._cohorts.choose(number, sorted(here))
        self._state, actions = self._machine.step(self._state, Start(cohort.clients, spare=cohort.spare, enough=cohort.enough))
        if isinstance(actions[0], Refuse):
            raise BrambleError(f"round {number}: {actions[0].reason}; lower --min-clients, or let fewer be away")
        assert isinstance(actions[0], Open)
        clients, config = actions[0].clients, replace(self._config, deadline_s=cohort.deadline)
        strategy = self.choice.make()
        if self._memory:
            strategy.restore(self._memory)
        coins = selection.named(self._settings.selection, self._settings.selection_option).kind.coins
        expected = float(self._settings.clients_per_round or 1) * len(here) if coins else None
        plan = planned(strategy, Context(number, self.model.weights, config, self._seed + number, expected), clients)
        request = self._request(number, plan)
        started = self._clock.time()
        header = Header(
            number,
            self.graph.sha256,
            "evaluation",
            len(self.model.weights),
            clients,
            started,
            started + cohort.deadline,
            enough=cohort.enough,
        )
        with closing(Scratch.create(path, header)) as file:
            open_round = OpenRound(self.graph.manifest.task, file, self.model.weights, strategy, self._clock)
            ending = self._until_it_ends(open_round, request, cohort)
            reason = self._ended(open_round, ending)
            self._cohorts.ended(number, open_round.parts(), self._clock.time(), cohort.deadline)
            return self._played(open_round, reason, opened, len(clients))

    def _here(self, number: int) -> list[str]:
        """Return who may be asked: who has joined, is there, and is not in quarantine."""
        there = (c for c, joined in self._joins.items() if joined <= self._clock.now and c not in self._quarantine.out)
        return [client for client in there if self._scenario.here(client, self._place(client), number, self._seed)]

    def _enough(self) -> float:
        """Return when as many have joined as a round needs."""
        return sorted(self._joins.values())[min(self._settings.min_clients, len(self._joins)) - 1]

    def _place(self, client: str) -> str:
        return self._devices[client].stretch.place.name

    def _until_it_ends(self, open_round: OpenRound, request: Request, cohort: Cohort) -> Commit | Abandon:
        number, begun, deadline = open_round.number, self._clock.now, self._clock.now + cohort.deadline
        events: list[tuple[float, str, Event]] = [(deadline, "", Deadline(number))]
        for client in cohort.clients:
            takes = self._scenario.takes(client, self._place(client), number, self._seed)
            if self._scenario.breaks(client, number, self._seed):
                events.append((begun + takes / 2, client, Left(client)))
            else:
                events.append((begun + takes, client, Update(client, number)))
        heapq.heapify(events)
        asked = on_the_wire(request)
        timely = sorted((t, client) for t, client, event in events if isinstance(event, Update) and t < deadline)
        results = self._trained(asked, timely, begun, cohort.enough)
        while True:
            self._clock.now, client, event = heapq.heappop(events)
            if isinstance(event, Update):
                event = self._delivered(open_round, next(results), asked[client], event)
            ending = self._feed(open_round, event)
            if ending:
                return ending

    def _trained(
        self, asked: Mapping[str, ClientUpdate], timely: Sequence[tuple[float, str]], begun: float, enough: int
    ) -> Iterator[Result | str]:
        """Yield what clients answer, in the order in which they do.

        Who is late trains as well, and so does who is not needed, but nobody takes it: the server knows nothing of it, and neither does
        the client's memory. So those are trained for only if others fail.
        """
        for part in (timely[:enough], timely[enough:]) if enough else (timely,):
            yield from self._workers.map(train, (self._training(asked[client], client, begun, ends) for ends, client in part))

    def _training(self, asked: ClientUpdate, client: str, begins: float, ends: float) -> tuple[tuple[ClientUpdate, Place], Training]:
        """Return a client's local run as workers take it."""
        device = self._devices[client]
        stretch, attack = device.stretch, self._attack if client in self._attackers else None
        windows, good = slice(stretch.start, stretch.stop), self._good[stretch.place.name]
        return (asked, stretch.place), Training(
            client, windows, begins, ends, device.tested_until, device.local_state, None if good is None else good[windows], attack
        )

    def _delivered(self, open_round: OpenRound, result: Result | str, asked: ClientUpdate, event: Update) -> Event:
        """Bring an answer through the wire's form and put it aside; it becomes a failure if there is none, or it cannot be read."""
        try:
            if isinstance(result, str):
                return Failed(event.client, event.round, result)
            open_round.take([(event.client, as_read(result.complete, asked), asked)])
            open_round.fold(event.client)
        except BrambleError as error:
            return Failed(event.client, event.round, str(error))
        self._devices[event.client].accepted(result)
        return event

    def _feed(self, open_round: OpenRound, event: Event) -> Commit | Abandon | None:
        self._state, actions = self._machine.step(self._state, event)
        for action in actions:
            match action:
                case Drop(_, client, reason):
                    open_round.drop(client, reason)
                case Commit() | Abandon():
                    return action
                case Fold() | Accept() | Dismiss():
                    pass  # it was folded when it was put aside; who is late stops
                case _:
                    raise AssertionError(f"a simulated round does not call for {action}")
        return None

    def _request(self, number: int, plan: Mapping[str, Plan]) -> Request:
        """Return what clients are asked."""
        abandoned = {client: self._devices[client].abandoned[-ABANDONED:] for client in plan}
        return Request(number, self.graph.manifest.task, self.graph, self.model, self._settings, plan, abandoned=abandoned)

    def _ended(self, open_round: OpenRound, ending: Commit | Abandon) -> str | None:
        """Make the updates the next model, if so it ends; return why there is none."""
        reason = ending.reason if isinstance(ending, Abandon) else self._commit(open_round)
        for client in open_round.answered if reason else ():
            self._devices[client].abandoned += (open_round.clients[client],)
        return reason

    def _commit(self, open_round: OpenRound) -> str | None:
        """Make the updates the next model; return why it cannot be, if so."""
        try:
            before = self.model.weights
            aggregate, pooled = open_round.aggregate(self._judge, max(1, self._settings.min_updates))
        except BrambleError as error:
            return str(error)
        self._judge.committed(pooled)
        if self._quarantine.after and (weights := open_round.weights):
            open_round.lie(aggregate.weights)
            parts, step = open_round.parts(), length(aggregate.weights, before)
            self._quarantine = self._quarantine.judged(open_round.number, parts, pulls(parts, weights, step))
        counts, told = judged(self.graph.manifest, open_round.counts, self.model.counts)
        self._memory, self.model = aggregate.state, Model(open_round.number, aggregate.weights, pooled | told, counts)
        return None

    def _played(self, open_round: OpenRound, reason: str | None, opened: float, asked: int) -> Played:
        metric = self.graph.manifest.metric
        errors = self._held_out(self.model.weights, "error")
        if self._baseline is None:
            self._baseline = metric.read(_pooled(self._held_out(self.model.weights, "baseline"), self._places))
        return Played(
            open_round.number, "abandoned" if reason else "committed", reason or open_round.remark, opened, self._clock.now, asked,
            open_round.delivered, {} if reason else self.model.metrics, metric.read(_pooled(errors, self._places)), self._baseline,
            {name: metric.read(error) for name, error in errors.items()}, self.digest, open_round.parts(), len(self._quarantine.out),
            self._reached(),
        )  # fmt: skip

    def _held_out(self, model: Weights, kind: str) -> dict[str, float]:
        """Return each place's mean of a measure on the windows that were held out."""
        found = self._workers.map(score, (((model, place), kind) for place in self._places))
        return {place.name: mean for place, mean in zip(self._places, found, strict=True)}

    def _reached(self) -> float | None:
        attack, places, manifest = self._attack, self._places, self.graph.manifest
        if attack is None or attack.marked(places[0].held_out, manifest) is None:
            return None
        found = self._workers.map(reached, (((self.model.weights, place), attack) for place in places))
        return _pooled({place.name: part for place, part in zip(places, found, strict=True)}, places)

    @property
    def digest(self) -> str:
        """What tells the model that holds now from any other."""
        manifest = self.graph.manifest
        return ClientUpdate(
            0, manifest.task, self.graph.sha256, manifest.layout, "float32", "float32", self.model.weights, self._config
        ).digest


def on_the_wire(request: Request) -> dict[str, ClientUpdate]:
    """Return what each client is asked as it reads it: through the form and the codecs in which it travels."""
    return {client: came for alike, update in request for came in [ClientUpdate.from_wire(update.to_wire(FEATURES))] for client in alike}


def as_read(complete: TrainingComplete, asked: ClientUpdate) -> Delivery:
    """Return an answer as a server reads it: through the form and the codec in which it travels, if that changes any of its numbers."""
    if complete.encoding != "float32":
        return Delivery.from_wire(complete.to_wire(asked), asked.layout)
    beside = {name: Section("float32", vector.data) for name, vector in complete.sections.items()}
    return Delivery(
        complete.round, complete.layout, complete.encoding, complete.weights.data, complete.samples, complete.metrics, complete.timing,
        asked.model, complete.steps, complete.since, beside, complete.counts,
    )  # fmt: skip


def _pooled(means: Mapping[str, float], places: Sequence[Place]) -> float:
    """Return the mean over all windows that were held out."""
    return float(np.average([means[place.name] for place in places], weights=[len(place.held_out) for place in places]))
