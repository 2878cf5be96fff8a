"""Every machine of rounds is held to its promises by hypothesis, and breaking any of them is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, run_state_machine_as_test

from bramble_server.rounds import synchronous
from bramble_server.rounds.machine import (
    Abandon,
    Accept,
    Action,
    Ask,
    Commit,
    Deadline,
    Event,
    Failed,
    Fold,
    Joined,
    Left,
    Machine,
    Open,
    Reset,
    Rules,
    Start,
    Update,
)
from bramble_server.rounds.synchronous import State, step
from tests.examples import examples
from tests.server.rounds import quorum
from tests.server.rounds.promises import Promises


class Synchronous(Promises):
    """What holds beside, where a round waits for all whom it asked."""

    machine: ClassVar[Machine[Any]] = synchronous

    def happen(self, event: Event) -> tuple[Action, ...]:
        before = self.state.running
        actions = super().happen(event)
        match event:
            case Start(chosen) if not before:
                assert isinstance(actions[0], Open) == (len(set(chosen)) >= max(1, self.needed.min_clients))
            case Update(client, number) if before and before.number == number:
                assert (Accept() in actions) == (client in before.selected), "whoever was asked is welcome while the round is open"
            case Joined(client) if before and client in before.pending:
                assert actions == (Ask(before.number, client),)
        return actions

    @invariant()
    def the_round_waits_for_somebody_or_is_over(self) -> None:
        assert self.state.running is None or self.state.running.pending

    def teardown(self) -> None:
        """The clients end a round, each in its own way, as its deadline does."""
        state = getattr(self, "state", State())
        if running := state.running:
            for index, client in enumerate(sorted(running.pending)):
                event = (Update(client, running.number), Failed(client, running.number, "busy"), Left(client))[index % 3]
                state, _ = step(state, event)
            assert state.running is None
        super().teardown()


class Quorum(Promises):
    machine: ClassVar[Machine[Any]] = quorum


TestSynchronous = Synchronous.TestCase
TestSynchronous.settings = settings(max_examples=examples(150), stateful_step_count=60)
TestQuorum = Quorum.TestCase
TestQuorum.settings = settings(max_examples=examples(50), stateful_step_count=60)


def broken(**other: Callable[..., Any]) -> Machine[Any]:
    """Return the synchronous machine with one of its parts replaced."""
    return SimpleNamespace(**{name: getattr(synchronous, name) for name in ("begin", "remembered", "replayed", "step", "counts")} | other)


def only(change: Callable[[State, Event, State, tuple[Action, ...]], Any]) -> Machine[Any]:
    """Return a machine that does something else after each step."""
    return broken(step=lambda state, event: change(state, event, *step(state, event)))


def loses_what_it_acknowledges(_: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    return after, tuple(action for action in actions if not isinstance(action, Fold))


def counts_a_repeat_again(_: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    running = after.running
    repeat = isinstance(event, Update) and running and actions == (Accept(),)
    return after, (Fold(running.number, event.client), *actions) if repeat else actions  # type: ignore[union-attr]


def answers_twice(_: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    return after, (*actions, *(action for action in actions if isinstance(action, Accept)))


def does_not_answer_who_fails(_: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    return after, tuple(action for action in actions if not (isinstance(event, Failed) and isinstance(action, Accept)))


def never_ends(before: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    return (before, ()) if isinstance(event, Deadline) else (after, actions)


def ends_with_too_few(_: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    return after, tuple(Commit(action.round) if isinstance(action, Abandon) else action for action in actions)


def uses_numbers_again(_: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    return replace(after, last=0) if isinstance(event, Reset) else after, actions


def forgets_who_answered(_: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    return replace(after, answered={}), actions


def waits_for_all(_: State, event: Event, after: State, actions: tuple[Action, ...]) -> Any:
    running = after.running
    return replace(after, running=replace(running, enough=0)) if running else after, actions


BROKEN = {
    "an update is acknowledged and not counted": only(loses_what_it_acknowledges),
    "an update counts twice": only(counts_a_repeat_again),
    "an update is answered twice": only(answers_twice),
    "a client that fails gets no answer": only(does_not_answer_who_fails),
    "a deadline ends nothing": only(never_ends),
    "a round commits with too few updates": only(ends_with_too_few),
    "a number is used again": only(uses_numbers_again),
    "a repeat is refused": only(forgets_who_answered),
    "what counts is not put aside": broken(counts=lambda state, event: False),
    "what was acknowledged is lost at a restart": broken(
        replayed=lambda state, number, clients, events, enough: synchronous.replayed(
            state, number, clients, [event for event in events if not isinstance(event, Update)], enough
        )
    ),
    "what is enough is lost at a restart": broken(
        replayed=lambda state, number, clients, events, enough: synchronous.replayed(state, number, clients, events)
    ),
    "a round goes on though it has enough": only(waits_for_all),
    "who answered is lost at a restart": broken(begin=lambda rules, last=0, answered=None, under_way=None: synchronous.begin(rules, last)),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_machine_that_breaks_a_promise_is_found_out(fault: str) -> None:
    class Broken(Promises):
        machine: ClassVar[Machine[Any]] = BROKEN[fault]

    tries = settings(
        max_examples=3000, stateful_step_count=30, phases=[Phase.generate], derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=tries)


@given(
    ways=st.lists(st.sampled_from(["update", "failed", "left"]), min_size=1, max_size=6),
    min_updates=st.integers(1, 6),
    data=st.data(),
)
def test_the_order_of_answers_decides_nothing(ways: list[str], min_updates: int, data: st.DataObject) -> None:
    names = [f"pi-{n}" for n in range(len(ways))]

    def answer(name: str, way: str) -> Event:
        answers: dict[str, Event] = {"update": Update(name, 1), "failed": Failed(name, 1, "busy"), "left": Left(name)}
        return answers[way]

    answers = [answer(name, way) for name, way in zip(names, ways, strict=True)]
    state, _ = step(State(Rules(1, min_updates)), Start(names))
    done: list[Action] = []
    for event in data.draw(st.permutations(answers)):
        state, actions = step(state, event)
        done += actions
    assert {action.client for action in done if isinstance(action, Fold)} == {
        name for name, way in zip(names, ways, strict=True) if way == "update"
    }
    assert state.running is None
    assert isinstance(done[-1], Commit) == (ways.count("update") >= min_updates)
