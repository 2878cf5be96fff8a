"""Rounds that wait for nobody in particular are held to every machine's promises, and to their own; breaking one of those is found out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from bramble_server.rounds.asynchronous import Asynchronous, Outcome, State
from bramble_server.rounds.machine import Accept, Action, Ask, Commit, Deadline, Earlier, Event, Fold, Joined, Open, Refuse, Start, Update
from tests.examples import examples
from tests.server.rounds.promises import CLIENTS, Promises, clients


class Buffered(Promises):
    """What holds beside, where a round ends with its buffer full and an answer counts in a later one."""

    machine: ClassVar[Asynchronous] = Asynchronous(buffer=2, max_staleness=3)
    staleness = 3

    def __init__(self) -> None:
        super().__init__()
        self.back: set[str] = set()
        """Who came back since a round was open."""

    @rule()
    def restart(self) -> None:
        """Nobody is connected any more."""
        super().restart()
        self.back.clear()

    def opens(self, chosen: tuple[str, ...], under_way: Mapping[str, Earlier]) -> None:
        for client, (asked, staleness) in under_way.items():
            assert staleness == sum(over >= asked for over in self.ended) <= self.staleness
            assert self.asked[asked][client] == asked, "it was asked then"
        assert len(chosen) <= (self.machine.concurrency or len(CLIENTS))

    def happen(self, event: Event) -> tuple[Action, ...]:
        before = self.state.running
        self.training = set(before.pending) if before else set[str]()
        actions = super().happen(event)
        match event:
            case Start(chosen) if not before:
                opened = isinstance(actions[0], Open)
                assert opened == (len(set(chosen)) >= max(1, self.needed.min_clients))
                again = {action.client for action in actions if isinstance(action, Ask)}
                if opened:
                    expected = self.back & set(chosen) & actions[0].under_way.keys()  # type: ignore[union-attr]
                    assert again == expected, "who came back without what it was asked hears it again"
                    self.back.clear()
            case Joined(client) if not before and client in self.state.under_way:
                self.back.add(client)
            case Update(client, number) if before and self.asked[before.number].get(client) == number:
                assert Accept() in actions, "whoever was asked is welcome, in this round or a later one"
        return actions

    def perform(self, action: Action, event: Event) -> None:
        super().perform(action, event)
        if isinstance(action, Commit) and isinstance(event, Update):
            assert len(self.folded[action.round]) <= self.machine.buffer
            assert self.training - {event.client} <= self.state.under_way.keys(), "who trains goes on for a later round"

    @rule(client=clients)
    def answer(self, client: str) -> None:
        """It is done with what it was asked, however long ago."""
        running = self.state.running
        asked = self.asked[running.number] if running else self.state.under_way
        if client in asked:
            self.deliver(client, asked[client])

    @precondition(lambda self: not self.state.running)
    @rule()
    def next(self) -> None:
        """What a server does after each round."""
        self.happen(Start(CLIENTS))

    @invariant()
    def a_round_ends_once_its_buffer_is_full_or_nobody_is_left(self) -> None:
        running = self.state.running
        assert running is None or (running.pending and len(running.updated) < self.machine.buffer)


class Few(Buffered):
    """Two of five train at once."""

    machine: ClassVar[Asynchronous] = Asynchronous(buffer=2, max_staleness=3, concurrency=2)

    @invariant()
    def few_train_at_once(self) -> None:
        running = self.state.running
        rejoined = 0 if running is None else sum(self.asked[running.number][client] != running.number for client in running.pending)
        assert running is None or len(running.pending) <= 2 + rejoined


TestBuffered = Buffered.TestCase
TestBuffered.settings = settings(max_examples=examples(150), stateful_step_count=60)
TestFew = Few.TestCase
TestFew.settings = settings(max_examples=examples(50), stateful_step_count=60)


@dataclass(frozen=True)
class Broken(Asynchronous):
    """The machine, with something else done after each step."""

    change: Callable[[State, Event, State, tuple[Action, ...]], Outcome] = lambda before, event, after, actions: (after, actions)

    def step(self, state: State, event: Event) -> Outcome:
        return self.change(state, event, *super().step(state, event))


def counts_in_two_rounds(before: State, event: Event, after: State, actions: tuple[Action, ...]) -> Outcome:
    return (replace(after, under_way=before.under_way) if isinstance(event, Update) else after), actions


def takes_whatever_comes_late(before: State, event: Event, after: State, actions: tuple[Action, ...]) -> Outcome:
    refused = actions and isinstance(actions[0], Refuse) and isinstance(event, Update) and before.running
    return after, (Fold(before.running.number, event.client), Accept()) if refused else actions  # type: ignore[union-attr]


def loses_who_trains(before: State, event: Event, after: State, actions: tuple[Action, ...]) -> Outcome:
    return (replace(after, under_way={}) if after.running is None else after), actions


def asks_who_trains_already(before: State, event: Event, after: State, actions: tuple[Action, ...]) -> Outcome:
    if actions and isinstance(actions[0], Open):
        return after, (replace(actions[0], clients=(*actions[0].clients, *actions[0].under_way)),)
    return after, actions


def never_ends(before: State, event: Event, after: State, actions: tuple[Action, ...]) -> Outcome:
    return (before, ()) if isinstance(event, Deadline) else (after, actions)


def does_not_ask_again(before: State, event: Event, after: State, actions: tuple[Action, ...]) -> Outcome:
    return after, actions[:1] if isinstance(event, Start) else actions


class Forgetful(Asynchronous):
    """Knows after a restart of the open round alone who answered it."""

    def replayed(self, state: State, number: int, clients: Mapping[str, int], events: Any, enough: int = 0) -> State:
        return super().replayed(state, number, dict.fromkeys(clients, number), events, enough)


BROKEN: dict[str, Asynchronous] = {
    "an update counts in two rounds": Broken(2, 3, None, counts_in_two_rounds),
    "an update counts however old it is": Broken(2, 3, None, takes_whatever_comes_late),
    "who trains is forgotten between two rounds": Broken(2, 3, None, loses_who_trains),
    "who trains is asked for something else": Broken(2, 3, None, asks_who_trains_already),
    "who came back between two rounds waits in vain": Broken(2, 3, None, does_not_ask_again),
    "a deadline ends nothing": Broken(2, 3, None, never_ends),
    "what a client was asked is lost at a restart": Forgetful(2, 3),
    "a round takes more than its buffer": Asynchronous(4, 3),
    "staleness has no bound": Asynchronous(2, 30),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_machine_that_breaks_a_promise_is_found_out(fault: str) -> None:
    class Tried(Buffered):
        machine: ClassVar[Asynchronous] = BROKEN[fault]
        staleness = 1 if fault == "staleness has no bound" else Buffered.staleness  # what is that old is met by chance, and not often

        def perform(self, action: Action, event: Event) -> None:
            super().perform(action, event)
            if isinstance(action, Commit):
                assert len(self.folded[action.round]) <= Buffered.machine.buffer

    tries = settings(
        max_examples=3000, stateful_step_count=40, phases=[Phase.generate], derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Tried, settings=tries)
