from __future__ import annotations

from typing import get_args

import pytest

from bramble_server.rounds import synchronous
from bramble_server.rounds.machine import (
    REMEMBERED,
    Abandon,
    Accept,
    Action,
    Ask,
    Commit,
    Deadline,
    Dismiss,
    Drop,
    Event,
    Failed,
    Fold,
    Joined,
    Left,
    Open,
    Refuse,
    Reset,
    Resumed,
    Rules,
    Start,
    Update,
)
from bramble_server.rounds.synchronous import State, step


def run(state: State, *events: Event) -> tuple[State, list[Action]]:
    """Apply events; return the state and the actions of the last one."""
    actions: tuple[Action, ...] = ()
    for event in events:
        state, actions = step(state, event)
    return state, list(actions)


def opened(*clients: str, min_updates: int = 1) -> State:
    return run(State(Rules(min_clients=1, min_updates=min_updates)), Start(clients))[0]


def code(actions: list[Action]) -> str:
    (refusal,) = actions
    assert isinstance(refusal, Refuse)
    return refusal.code


class TestStart:
    def test_opens_round_one_with_all_clients_in_order_of_their_names(self) -> None:
        state, actions = run(State(Rules(min_clients=2)), Start(["b", "a", "b"]))
        assert actions == [Open(1, ("a", "b"))]
        assert state.running is not None
        assert state.running.pending == state.running.selected == {"a", "b"}

    def test_is_refused_while_a_round_runs(self) -> None:
        state = opened("a")
        after, actions = run(state, Start(["a"]))
        assert after == state
        assert actions == [Refuse("busy", "round 1 is running")]

    def test_is_refused_below_min_clients(self) -> None:
        state = State(Rules(min_clients=3))
        after, actions = run(state, Start(["a", "b"]))
        assert after == state
        assert actions == [Refuse("too few clients", "2 clients are connected, a round needs 3")]

    def test_a_client_counted_twice_does_not_make_up_the_number(self) -> None:
        assert code(run(State(Rules(min_clients=2)), Start(["a", "a"]))[1]) == "too few clients"

    def test_never_opens_a_round_of_nobody(self) -> None:
        assert code(run(State(Rules(min_clients=0)), Start([]))[1]) == "too few clients"

    def test_numbers_go_on_after_those_of_an_earlier_run(self) -> None:
        assert run(State(Rules(1), last=41), Start(["a"]))[1] == [Open(42, ("a",))]


class TestUpdates:
    def test_the_round_commits_when_all_have_delivered(self) -> None:
        state, first = run(opened("a", "b"), Update("a", 1))
        assert first == [Fold(1, "a"), Accept()]
        state, second = run(state, Update("b", 1))
        assert second == [Fold(1, "b"), Accept(), Commit(1)]
        assert state.running is None

    def test_a_repeat_is_accepted_again_and_not_folded_again(self) -> None:
        state, _ = run(opened("a", "b"), Update("a", 1))
        after, actions = run(state, Update("a", 1))
        assert after == state
        assert actions == [Accept()]

    def test_a_repeat_after_the_round_is_answered_as_the_first_was(self) -> None:
        state, _ = run(opened("a", "b"), Update("a", 1), Deadline(1))
        assert run(state, Update("a", 1))[1] == [Accept()]
        assert run(state, Update("b", 1))[1] == [Refuse("round over", "round over")]

    def test_a_repeat_is_answered_alike_while_the_next_round_runs(self) -> None:
        state, _ = run(opened("a", "b"), Update("a", 1), Deadline(1), Start(["a", "b"]))
        after, actions = run(state, Update("a", 1))
        assert after == state
        assert actions == [Accept()]

    def test_a_repeat_is_answered_alike_though_the_round_was_abandoned(self) -> None:
        state, _ = run(opened("a", "b", min_updates=2), Update("a", 1), Deadline(1))
        assert run(state, Update("a", 1))[1] == [Accept()]

    def test_a_late_update_changes_nothing(self) -> None:
        state, _ = run(opened("a", "b"), Update("a", 1), Deadline(1))
        assert run(state, Update("b", 1))[0] == state

    def test_an_update_for_an_earlier_round_does_not_count_in_this_one(self) -> None:
        state, _ = run(opened("a", "b"), Deadline(1), Start(["a", "b"]))
        after, actions = run(state, Update("a", 1))
        assert after == state
        assert code(actions) == "round over"

    @pytest.mark.parametrize("number", [-1, 0, 2, 10**9])
    def test_a_round_that_never_was_is_unknown(self, number: int) -> None:
        state = opened("a")
        after, actions = run(state, Update("a", number))
        assert after == state
        assert actions == [Refuse("unknown round", f"unknown round {number}")]

    def test_a_client_that_was_not_asked_is_refused(self) -> None:
        state = opened("a")
        after, actions = run(state, Joined("b"), Update("b", 1))
        assert after == state
        assert code(actions) == "not asked"

    def test_a_client_that_failed_may_still_deliver(self) -> None:
        state, _ = run(opened("a", "b"), Failed("a", 1, "busy"))
        state, actions = run(state, Update("a", 1))
        assert actions == [Fold(1, "a"), Accept()]
        assert state.running is not None
        assert not state.running.failed

    def test_a_dropped_client_may_still_deliver(self) -> None:
        state, _ = run(opened("a", "b"), Left("a"))
        assert run(state, Update("a", 1))[1] == [Fold(1, "a"), Accept()]

    def test_before_any_round_an_update_is_for_an_unknown_one(self) -> None:
        assert code(run(State(), Update("a", 1))[1]) == "unknown round"


class TestFailures:
    def test_a_failure_drops_the_client_with_its_reason(self) -> None:
        state, actions = run(opened("a", "b"), Failed("a", 1, "no data yet"))
        assert actions == [Drop(1, "a", "no data yet"), Accept()]
        assert state.running is not None
        assert state.running.pending == {"b"}

    def test_a_repeated_failure_is_accepted_and_recorded_once(self) -> None:
        state, _ = run(opened("a", "b"), Failed("a", 1, "no data yet"))
        assert run(state, Failed("a", 1, "no data yet")) == (state, [Accept()])

    def test_a_failure_after_the_update_does_not_take_it_back(self) -> None:
        state, _ = run(opened("a", "b"), Update("a", 1))
        assert run(state, Failed("a", 1, "busy")) == (state, [Accept()])

    def test_a_failure_for_a_round_that_is_over_is_accepted_and_does_nothing(self) -> None:
        state, _ = run(opened("a"), Deadline(1))
        assert run(state, Failed("a", 1, "too slow")) == (state, [Accept()])

    def test_a_failure_for_an_unknown_round_is_refused(self) -> None:
        assert code(run(opened("a"), Failed("a", 7, "busy"))[1]) == "unknown round"

    def test_a_failure_of_a_client_that_was_not_asked_is_refused(self) -> None:
        assert code(run(opened("a"), Failed("b", 1, "busy"))[1]) == "not asked"

    def test_a_round_in_which_all_fail_is_abandoned(self) -> None:
        state, actions = run(opened("a", "b"), Failed("a", 1, "busy"), Failed("b", 1, "no data"))
        assert actions[-1] == Abandon(1, "0 of 2 clients delivered, a round needs 1")
        assert state.running is None

    def test_one_delivered_and_one_failed_commits(self) -> None:
        assert run(opened("a", "b"), Update("a", 1), Failed("b", 1, "busy"))[1] == [Drop(1, "b", "busy"), Accept(), Commit(1)]


class TestLeavingAndJoining:
    def test_the_round_goes_on_without_one_that_left(self) -> None:
        assert run(opened("a", "b"), Update("b", 1), Left("a"))[1] == [Drop(1, "a", "disconnected"), Commit(1)]

    def test_all_leaving_abandons_the_round(self) -> None:
        assert run(opened("a", "b"), Left("b"), Left("a"))[1][-1] == Abandon(1, "0 of 2 clients delivered, a round needs 1")

    def test_leaving_after_delivering_changes_nothing(self) -> None:
        state, _ = run(opened("a", "b"), Update("a", 1))
        assert run(state, Left("a")) == (state, [])

    def test_leaving_twice_drops_once(self) -> None:
        state, _ = run(opened("a", "b"), Left("a"))
        assert run(state, Left("a")) == (state, [])

    def test_leaving_and_joining_between_rounds_matter_to_nobody(self) -> None:
        state = State(Rules(1), last=3)
        assert run(state, Left("a"), Joined("a")) == (state, [])

    def test_one_that_rejoins_is_asked_again_and_waited_for(self) -> None:
        state, actions = run(opened("a", "b"), Left("a"), Joined("a"))
        assert actions == [Ask(1, "a")]
        assert run(state, Update("b", 1))[1] == [Fold(1, "b"), Accept()]
        assert run(state, Update("b", 1), Update("a", 1))[1][-1] == Commit(1)

    def test_one_that_reconnects_before_it_was_missed_is_asked_again(self) -> None:
        state = opened("a", "b")
        assert run(state, Joined("a")) == (state, [Ask(1, "a")])

    def test_one_that_rejoins_after_delivering_is_not_asked_again(self) -> None:
        state, _ = run(opened("a", "b"), Update("a", 1), Left("a"))
        assert run(state, Joined("a")) == (state, [])

    def test_one_that_rejoins_after_failing_is_not_asked_again(self) -> None:
        state, _ = run(opened("a", "b"), Failed("a", 1, "no data yet"), Left("a"))
        assert run(state, Joined("a")) == (state, [])

    def test_a_newcomer_waits_for_the_next_round(self) -> None:
        state = opened("a")
        assert run(state, Joined("z")) == (state, [])

    def test_one_that_rejoins_after_the_round_is_not_asked(self) -> None:
        state, _ = run(opened("a", "b"), Left("a"), Update("b", 1))
        assert run(state, Joined("a")) == (state, [])


class TestDeadline:
    def test_commits_with_what_has_arrived_and_names_the_late(self) -> None:
        _, actions = run(opened("c", "a", "b", min_updates=1), Update("a", 1), Deadline(1))
        late = [Drop(1, client, "no answer before the deadline") for client in ("b", "c")]
        assert actions == [*late, Dismiss(1, ("b", "c")), Commit(1)]

    def test_abandons_below_min_updates(self) -> None:
        _, actions = run(opened("a", "b", min_updates=2), Update("a", 1), Deadline(1))
        assert actions[-1] == Abandon(1, "1 of 2 clients delivered, a round needs 2")

    def test_commits_at_exactly_min_updates(self) -> None:
        assert run(opened("a", "b", "c", min_updates=2), Update("a", 1), Update("c", 1), Deadline(1))[1][-1] == Commit(1)

    def test_of_an_earlier_round_does_not_end_this_one(self) -> None:
        state, _ = run(opened("a"), Update("a", 1), Start(["a"]))
        assert run(state, Deadline(1)) == (state, [])

    def test_without_a_round_does_nothing(self) -> None:
        assert run(State(), Deadline(1)) == (State(), [])

    def test_min_updates_zero_still_needs_one(self) -> None:
        assert run(opened("a", min_updates=0), Deadline(1))[1][-1] == Abandon(1, "0 of 1 clients delivered, a round needs 1")

    def test_all_answering_with_too_few_updates_abandons_at_once(self) -> None:
        assert run(opened("a", "b", min_updates=2), Update("a", 1), Failed("b", 1, "busy"))[1][-1] == Abandon(
            1, "1 of 2 clients delivered, a round needs 2"
        )


class TestReset:
    def test_abandons_the_open_round(self) -> None:
        state, actions = run(opened("a", "b"), Update("a", 1), Reset())
        assert actions == [Abandon(1, "reset")]
        assert state.running is None

    def test_never_lets_a_number_be_used_again(self) -> None:
        state, _ = run(opened("a", "b"), Reset())
        assert run(state, Start(["a", "b"]))[1] == [Open(2, ("a", "b"))]

    def test_what_is_on_its_way_from_before_does_not_count_after(self) -> None:
        state, _ = run(opened("a", "b"), Reset(), Start(["a", "b"]))
        after, actions = run(state, Update("a", 1))
        assert after == state
        assert code(actions) == "round over"

    def test_without_a_round_does_nothing(self) -> None:
        assert run(State(), Reset()) == (State(), [])


def test_the_answers_of_only_so_many_rounds_are_remembered() -> None:
    state = State(Rules(1, 1))
    for number in range(1, REMEMBERED + 3):
        state, _ = run(state, Start(["a"]), Update("a", number))
    assert sorted(state.answered) == list(range(3, REMEMBERED + 3))
    assert code(run(state, Update("a", 2))[1]) == "round over"
    assert run(state, Update("a", 3))[1] == [Accept()]


def test_answers_recovered_from_an_earlier_run_are_given_again() -> None:
    state = State(Rules(1), last=5, answered={5: frozenset({"a"})})
    assert run(state, Update("a", 5))[1] == [Accept()]
    assert code(run(state, Update("b", 5))[1]) == "round over"
    state, _ = run(state, Start(["b"]), Update("b", 6))
    assert state.answered == {5: {"a"}, 6: {"b"}}


def test_answers_are_forgotten_oldest_first_in_whatever_order_they_were_recovered() -> None:
    numbers = [7, 3, *range(8, 20), 5, 4, 6]
    state = State(Rules(1), last=19, answered={number: frozenset({"a"}) for number in numbers})
    state, _ = run(state, Start(["a"]), Update("a", 20))
    assert sorted(state.answered) == list(range(5, 21))


def test_a_state_is_never_changed_in_place() -> None:
    state = opened("a", "b")
    before = repr(state)
    for event in (Update("a", 1), Failed("a", 1, "busy"), Left("a"), Joined("a"), Deadline(1), Reset()):
        step(state, event)
    assert repr(state) == before


class TestEnough:
    """A round that asks more clients than it needs is over with as many as are enough."""

    def wanting(self, enough: int, *clients: str, min_updates: int = 1) -> State:
        return run(State(Rules(min_clients=1, min_updates=min_updates)), Start(clients, enough=enough))[0]

    def test_it_commits_with_as_many_as_are_enough_and_lets_the_others_know(self) -> None:
        state, actions = run(self.wanting(2, "d", "a", "b", "c"), Update("c", 1), Update("a", 1))
        spared = [Drop(1, client, "enough others had answered") for client in ("b", "d")]
        assert actions == [Fold(1, "a"), Accept(), *spared, Dismiss(1, ("b", "d")), Commit(1)]
        assert code(run(state, Update("b", 1))[1]) == "round over"

    def test_whoever_fails_is_made_up_for_by_one_to_spare(self) -> None:
        state, actions = run(self.wanting(2, "a", "b", "c"), Update("a", 1), Failed("b", 1, "busy"))
        assert actions == [Drop(1, "b", "busy"), Accept()]
        assert run(state, Update("c", 1))[1] == [Fold(1, "c"), Accept(), Commit(1)]

    def test_it_is_over_with_fewer_where_nobody_else_will_answer(self) -> None:
        _, actions = run(self.wanting(2, "a", "b", "c"), Update("a", 1), Failed("b", 1, "busy"), Left("c"))
        assert actions[-1] == Commit(1)

    def test_it_is_never_over_with_fewer_than_a_commit_takes(self) -> None:
        state, actions = run(self.wanting(1, "a", "b", "c", min_updates=2), Update("a", 1))
        assert actions == [Fold(1, "a"), Accept()]
        assert run(state, Update("b", 1))[1][-1] == Commit(1)

    def test_another_process_goes_on_until_there_are_enough(self) -> None:
        state = synchronous.replayed(State(Rules(1, 1), 1), 1, ["a", "b", "c"], [Update("a", 1)], 2)
        assert run(state, Update("b", 1))[1] == [
            Fold(1, "b"), Accept(), Drop(1, "c", "enough others had answered"), Dismiss(1, ("c",)), Commit(1)
        ]  # fmt: skip
        state = synchronous.replayed(State(Rules(1, 1), 1), 1, ["a", "b", "c"], [Update("a", 1), Update("b", 1)], 2)
        assert run(state, Resumed())[1][-1] == Commit(1), "it was killed between the last update that was enough and the commit"

    def test_those_that_were_not_chosen_count_for_what_a_round_needs(self) -> None:
        state = State(Rules(min_clients=3))
        assert run(state, Start(["a"], spare=2))[1] == [Open(1, ("a",))]
        (refused,) = run(state, Start(["a"], others=1, unwell=2, spare=1))[1]
        assert refused == Refuse(
            "too few clients",
            "2 clients are connected (1 more do not measure what the task takes, 2 more are not asked for the time being), a round needs 3",
        )


def test_every_event_has_its_rule() -> None:
    for event in get_args(Event):
        fields = {
            "client": "a",
            "round": 1,
            "reason": "busy",
            "clients": ["a"],
            "others": 1,
            "last": 7,
            "unwell": 1,
            "spare": 1,
            "enough": 1,
            "digest": "",
            "phase": "keys",
            "data": b"",
        }
        step(opened("a"), event(**{name: fields[name] for name in event.__dataclass_fields__}))
