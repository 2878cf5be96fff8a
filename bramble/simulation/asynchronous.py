"""Plays asynchronous rounds: nobody waits for who is slow, and what it brings counts in whichever round is open then."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from bramble.simulation.rounds import Played, Scratch, Simulation, on_the_wire
from bramble.simulation.training import train
from bramble_client.learn.trainer import Result
from bramble_protocol.errors import BrambleError
from bramble_protocol.messages import ClientUpdate
from bramble_server.foundation import Foundation
from bramble_server.learning.strategies import Context, planned
from bramble_server.rounds.machine import Abandon, Ask, Commit, Deadline, Event, Joined, Left, Open, Refuse, Start, Update
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import Header, UnderWay


def simulation_of(foundation: Foundation) -> type[Simulation]:
    """Return what plays the rounds that a task is set to have."""
    return AsynchronousSimulation if foundation.settings.discipline == "asynchronous" else Simulation


@dataclass
class Work:
    """What a client is at."""

    asked: ClientUpdate
    began: float
    ends: float
    """When its answer comes, or its connection breaks."""
    breaks: bool
    result: Future[list[Result | str]] | None = None


class AsynchronousSimulation(Simulation):
    """A fleet and its server in simulated time, where a round is a version of the model."""

    _work: dict[str, Work]
    _coming: list[tuple[float, str]]

    def play(self, rounds: int) -> Iterator[Played]:
        """Yield what became of each round, as it ends.

        Raises
        ------
        BrambleError
            If no round can open.
        """
        self._work, self._coming = {}, []
        try:
            yield from super().play(rounds)
        finally:
            for work in self._work.values():
                if work.result:
                    work.result.cancel()

    def _round(self, path: Path) -> Played:
        self._clock.now = max(self._clock.now, self._enough())
        number, opened = self._state.last + 1, self._clock.now
        self._state, actions = self._machine.step(self._state, Start(self._here(number)))
        if isinstance(actions[0], Refuse):
            raise BrambleError(f"round {number}: {actions[0].reason}; lower --min-clients, or let fewer be away")
        assert isinstance(actions[0], Open)
        clients = actions[0].clients
        strategy = self.choice.make()
        if self._memory:
            strategy.restore(self._memory)
        plan = planned(strategy, Context(number, self.model.weights, self._config), clients) if clients else {}
        asked = on_the_wire(self._request(number, plan))
        for client in clients:
            self._ask(client, asked[client])
        started, size = self._clock.time(), len(self.model.weights)
        now = self._clock.now
        behind = {
            client: UnderWay(*earlier, started - (now - self._work[client].began)) for client, earlier in actions[0].under_way.items()
        }
        deadline = now + self._settings.deadline
        header = Header(
            number, self.graph.sha256, "evaluation", size, clients, started, started + self._settings.deadline, under_way=behind
        )
        with closing(Scratch.create(path, header)) as file:
            open_round = OpenRound(
                self.graph.manifest.task, file, self.model.weights, strategy, self._clock, exponent=self._settings.staleness_exponent
            )
            ending = self._until(open_round, deadline, behind)
            reason = self._ended(open_round, ending)
            played = self._played(open_round, reason, opened, len(clients))
        took = {client: part for client, part in played.parts.items() if client in asked or part["replied"] or part["reason"]}
        return replace(played, parts=took)

    def _here(self, number: int) -> list[str]:
        """Return who is there: whoever trains, and of the others those whom the scenario has there."""
        there = {*self._state.under_way, *super()._here(number)}
        return [client for client in self._joins if client in there]

    def _ask(self, client: str, asked: ClientUpdate) -> None:
        """Have a client train from now on; what it was at before it breaks off."""
        began, number = self._clock.now, asked.round
        former = self._work.get(client)
        if former and former.result:
            former.result.cancel()
        takes = self._scenario.takes(client, self._place(client), number, self._seed)
        breaks = self._scenario.breaks(client, number, self._seed) and not (former and former.asked is asked)
        work = self._work[client] = Work(asked, began, began + (takes / 2 if breaks else takes), breaks)
        if not breaks:
            work.result = self._workers.send(train, [self._training(asked, client, began, work.ends)])
        heapq.heappush(self._coming, (work.ends, client))

    def _until(self, open_round: OpenRound, deadline: float, behind: Mapping[str, UnderWay]) -> Commit | Abandon:
        """Let time go on to the round's end."""
        for client in sorted(behind):
            if self._work[client].breaks and self._work[client].ends <= self._clock.now:  # it is there again
                self._again(client)
        while True:
            self._clock.now, event = self._next(deadline, open_round.number)
            if isinstance(event, Update):
                result = self._work[event.client].result
                assert result is not None
                [answer] = result.result()
                event = self._delivered(open_round, answer, self._work[event.client].asked, event)
            ending = self._feed(open_round, event)
            if ending:
                return ending

    def _again(self, client: str) -> None:
        self._state, actions = self._machine.step(self._state, Joined(client))
        assert actions == (Ask(self._work[client].asked.round, client),)
        self._ask(client, self._work[client].asked)

    def _next(self, deadline: float, number: int) -> tuple[float, Event]:
        while self._coming and self._coming[0][0] < deadline:
            when, client = heapq.heappop(self._coming)
            work = self._work[client]
            if work.ends != when or self._state.under_way.get(client) != work.asked.round:
                continue  # it was asked something else since, or nobody takes its answer any more
            return when, Left(client) if work.breaks else Update(client, work.asked.round)
        return deadline, Deadline(number)
