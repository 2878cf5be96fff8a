"""Two clients with one id, and one client that came back."""

from __future__ import annotations

import pytest

from bramble_server.fleet import namesakes
from bramble_server.fleet.namesakes import QUIET, TURNS, TURNS_WITHIN, Namesakes


def test_a_client_that_was_restarted_is_no_second_one() -> None:
    names = Namesakes()
    for now, (newcomer, holder) in enumerate([("b", "a"), ("c", "b"), ("d", "c")]):
        assert not names.replaces("pi", newcomer, holder, True, float(now))
    assert names.since("pi", 3.0) is None


def test_a_client_whose_connection_broke_is_no_second_one_however_often() -> None:
    names = Namesakes()
    assert not any(names.replaces("pi", "a", "a", True, float(now)) for now in range(50))
    assert names.since("pi", 50.0) is None


def test_one_that_was_thrown_out_and_comes_again_is_a_second_one_and_that_is_new_once() -> None:
    names = Namesakes()
    assert not names.replaces("pi", "b", "a", True, 100.0)
    assert names.replaces("pi", "a", "b", True, 101.0)
    assert not names.replaces("pi", "b", "a", True, 102.0)
    assert names.since("pi", 102.0) == 101.0
    assert names.since("another", 102.0) is None


def test_a_version_1_client_is_told_by_its_address_or_by_its_turns() -> None:
    names = Namesakes()
    assert not names.replaces("pi", "10.0.0.2", "10.0.0.1", False, 0.0)
    assert names.replaces("pi", "10.0.0.1", "10.0.0.2", False, 1.0)
    behind_one = [names.replaces("nat", "10.0.0.1", "10.0.0.1", False, float(now)) for now in range(TURNS + 2)]
    assert behind_one == [False] * (TURNS - 1) + [True, False, False]
    slow = [names.replaces("slow", "10.0.0.1", "10.0.0.1", False, now * TURNS_WITHIN / 2) for now in range(20)]
    assert not any(slow)


def test_one_that_is_refused_is_a_second_one_if_the_first_goes_on_speaking() -> None:
    names = Namesakes()
    assert not names.refused("pi", "b", 90.0, 100.0)
    assert not names.refused("pi", "b", 90.0, 105.0), "a Pi that rebooted at a new address, its old connection not yet found dead"
    assert names.refused("pi", "b", 106.0, 110.0)
    assert not names.refused("pi", "b", 112.0, 115.0), "once"


def test_after_a_while_without_the_other_a_name_is_ones_own_again() -> None:
    names = Namesakes()
    names.replaces("pi", "b", "a", True, 0.0)
    assert not names.replaces("pi", "a", "b", True, QUIET + 1), "whatever that was, it is long ago"
    names.replaces("pi", "b", "a", True, QUIET + 2)
    assert names.since("pi", QUIET + 2) == QUIET + 2
    assert names.since("pi", 2 * QUIET + 3) is None
    assert names.replaces("pi", "a", "b", True, 3 * QUIET) is False
    assert names.replaces("pi", "b", "a", True, 3 * QUIET + 1), "a new story is told anew"


def test_nobody_can_fill_the_memory_with_names_or_with_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namesakes, "MOST", 10)
    names = Namesakes()
    for number in range(1000):
        names.refused("pi", f"mark-{number}", 0.0, 1.0)
        names.replaces(f"pi-{number}", "b", "a", True, 1.0)
    assert len(names._watched) == 10
    assert all(len(watch.others) <= 8 for watch in names._watched.values())
