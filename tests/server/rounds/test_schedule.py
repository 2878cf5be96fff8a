"""When rounds start by themselves, told the time by the test."""

from __future__ import annotations

from bramble_server.rounds.schedule import PAUSE, Schedule


def test_without_a_schedule_nothing_starts_by_itself() -> None:
    schedule = Schedule()
    assert schedule.due(0.0) is None
    schedule.started(0.0)
    schedule.ended(1.0, committed=True)
    assert schedule.due(100.0) is None


def test_rounds_follow_one_another_until_so_many_have_committed() -> None:
    schedule = Schedule(rounds=2)
    for now in (0.0, 5.0):
        assert schedule.due(now) == 0.0
        schedule.started(now)
        schedule.ended(now + 1, committed=True)
    assert schedule.due(7.0) is None


def test_a_round_that_came_to_nothing_does_not_count_and_is_not_repeated_at_once() -> None:
    schedule = Schedule(rounds=1)
    schedule.started(0.0)
    schedule.ended(1.0, committed=False)
    assert schedule.due(1.0) == PAUSE
    assert schedule.due(1.0 + PAUSE) == 0.0
    schedule.started(1.0 + PAUSE)
    schedule.ended(2.0 + PAUSE, committed=True)
    assert schedule.due(100.0) is None


def test_an_interval_counts_from_start_to_start() -> None:
    schedule = Schedule(every=60.0)
    assert schedule.due(0.0) == 0.0, "the first one starts as soon as it can"
    schedule.started(10.0)
    schedule.ended(25.0, committed=True)
    assert schedule.due(25.0) == 45.0
    assert schedule.due(70.0) == 0.0


def test_a_round_longer_than_the_interval_is_followed_at_once() -> None:
    schedule = Schedule(every=10.0)
    schedule.started(0.0)
    schedule.ended(35.0, committed=True)
    assert schedule.due(35.0) == 0.0


def test_with_a_short_interval_a_failed_round_is_still_followed_by_a_pause() -> None:
    schedule = Schedule(every=0.5)
    schedule.started(0.0)
    schedule.ended(0.1, committed=False)
    assert schedule.due(0.1) == PAUSE


def test_an_interval_goes_on_for_ever() -> None:
    schedule = Schedule(every=1.0)
    for now in range(1000):
        assert schedule.due(float(now)) == 0.0
        schedule.started(float(now))
        schedule.ended(now + 0.5, committed=True)


def test_a_round_started_by_hand_moves_the_interval() -> None:
    schedule = Schedule(every=60.0)
    schedule.started(0.0)
    schedule.ended(1.0, committed=True)
    schedule.started(30.0)
    schedule.ended(31.0, committed=True)
    assert schedule.due(31.0) == 59.0


def test_a_round_that_is_hastened_starts_once_as_soon_as_it_can() -> None:
    schedule = Schedule()
    schedule.hasten()
    assert schedule.due(5.0) == 0.0
    schedule.started(5.0)
    schedule.ended(6.0, committed=True)
    assert schedule.due(100.0) is None
    every = Schedule(every=60.0)
    every.started(0.0)
    every.ended(1.0, committed=True)
    every.hasten()
    assert every.due(2.0) == 0.0
    every.started(2.0)
    assert every.due(2.0) == 60.0


def test_where_rounds_follow_one_another_nothing_is_hastened_nor_begun() -> None:
    schedule = Schedule(lasting=True)
    schedule.hasten()
    assert schedule.due(0.0) is None
