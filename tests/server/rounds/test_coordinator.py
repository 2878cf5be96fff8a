"""The coordinator alone, with a transport and a clock that a test holds: what it does, and what is left of it when an action fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest

from bramble_protocol.errors import BrambleError
from bramble_server.learning.strategies.fedavg import FedAvg
from bramble_server.rounds import endings, machine, schedule
from bramble_server.rounds.commits import Commits
from bramble_server.rounds.opening import Openings
from bramble_server.rounds.roundfile import RoundFile, RoundFileError
from bramble_server.rounds.track import Track
from bramble_server.rounds.writer import InternalError, RefusedError
from bramble_server.store import StoreError
from tests.server.office import Office
from tests.server.process import LAYOUT
from tests.server.rounds import quorum

Open = Callable[..., Office]
ONES = [1.0] * LAYOUT.size


@pytest.fixture
def open_office(tmp_path: Path) -> Iterator[Open]:
    opened: list[Office] = []

    def open_with(**settings: Any) -> Office:
        opened.append(Office(tmp_path, **settings))
        return opened[-1]

    yield open_with
    for office in opened:
        if office.coordinator._writer._task.is_alive():
            office.close()


@pytest.fixture
def office(open_office: Open) -> Office:
    """With two clients."""
    office = open_office()
    office.join("a", "b")
    return office


def fail(monkeypatch: pytest.MonkeyPatch, where: type, method: str, error: Exception) -> Callable[[], None]:
    """Have a method fail; return what mends it."""

    def raising(*arguments: Any, **options: Any) -> Any:
        raise error

    whole = getattr(where, method)
    monkeypatch.setattr(where, method, raising)
    return lambda: monkeypatch.setattr(where, method, whole)


def goes_on(office: Office, value: float = 7.0) -> None:
    """See that a whole round runs, as if nothing had been."""
    number = office.committed("a", "b", value=value)
    assert office.stored() == (number, [value] * LAYOUT.size)
    assert office.coordinator.view.tasks["small"].model.round == number
    assert office.coordinator.view.tasks["small"].running is None
    assert office.coordinator.progress(number) is None


def test_a_round_asks_everybody_and_commits_their_mean_when_the_last_has_delivered(office: Office) -> None:
    number = office.coordinator.start_round().round
    assert office.transport.said == [(f"ask {number}", ["a", "b"])]
    assert (office.coordinator.view.tasks["small"].running, office.coordinator.view.tasks["small"].waiting_for) == (number, ("a", "b"))
    office.deliver("a", number, 1.0)
    office.deliver("a", number, 50.0)  # a repeat, which counts no more
    assert office.coordinator.view.tasks["small"].waiting_for == ("b",)
    office.deliver("b", number, 3.0)
    assert office.stored() == (number, [2.0] * LAYOUT.size)
    assert office.coordinator.view.tasks["small"].model.weights.tolist() == [2.0] * LAYOUT.size
    assert (office.coordinator.view.tasks["small"].running, office.coordinator.progress(number)) == (None, None)
    with pytest.raises(RefusedError, match="round over"):
        office.deliver("c", number)


def test_at_the_deadline_and_not_before_the_round_ends_with_those_who_delivered(office: Office) -> None:
    number = office.coordinator.start_round().round
    office.deliver("a", number)
    office.later(59.9)
    assert office.coordinator.view.tasks["small"].waiting_for == ("b",)
    office.later(0.2)
    record = office.record(number)
    assert (record["state"], record["updates"]) == ("committed", 1)
    assert record["clients"]["b"]["reason"] == "no answer before the deadline"


def test_one_that_left_or_said_no_is_not_waited_for_and_one_that_came_back_is_asked_again(office: Office) -> None:
    number = office.coordinator.start_round().round
    office.leave("a")
    assert office.coordinator.view.tasks["small"].waiting_for == ("b",)
    office.join("a")
    assert office.transport.said[-1] == (f"ask {number}", ["a"])
    office.refuse("b", number)
    office.deliver("a", number)
    record = office.record(number)
    assert (record["state"], record["updates"], record["clients"]["b"]["reason"]) == ("committed", 1, "busy")


def test_another_discipline_of_rounds_takes_no_other_coordinator(open_office: Open) -> None:
    office = open_office(machine=quorum, min_clients=2, min_updates=2)
    office.join("a", "b", "c")
    number = office.coordinator.start_round().round
    office.deliver("b", number, 2.0)
    office.die()
    office = open_office(machine=quorum, min_clients=2, min_updates=2)  # and none for its recovery
    office.join("a", "c")
    office.deliver("a", number, 4.0)
    assert office.stored() == (number, [3.0] * LAYOUT.size), "it is over with the first two, and waited for nobody else"
    assert office.record(number)["clients"]["c"]["reason"] is None
    office.deliver("b", number, 2.0)  # a repeat
    with pytest.raises(RefusedError, match="round over"):
        office.deliver("c", number)
    assert office.coordinator.start_round().round == number + 1


def test_rounds_start_at_their_interval_and_after_one_that_came_to_nothing_there_is_a_pause(open_office: Open) -> None:
    office = open_office(every=5.0)
    office.join("a")
    assert office.coordinator.view.tasks["small"].running == 1
    office.refuse("a", 1)
    office.later(schedule.PAUSE - 0.1)
    assert office.coordinator.view.tasks["small"].running is None
    office.later(0.2)
    assert office.coordinator.view.tasks["small"].running == 2
    office.deliver("a", 2)
    office.later(4.9)
    assert office.coordinator.view.tasks["small"].running is None
    office.later(0.2)
    assert office.coordinator.view.tasks["small"].running == 3


def test_a_cycle_is_waited_for_until_its_time_is_up(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    assert office.coordinator.generate(3) == (1, 2)
    assert office.readings("a", 1, 3) == 3
    office.drain()
    assert office.coordinator.view.cycle_waiting_for == ("b",)
    office.later(60.1)
    assert office.coordinator.view.cycle_waiting_for == ()
    assert "cycle 1: no readings came from b" in caplog.text
    with pytest.raises(RefusedError, match="cycle 2 has not been started"):
        office.readings("b", 2, 1)


def test_one_that_was_away_at_a_reset_hears_of_it_when_it_is_back_and_once(office: Office) -> None:
    office.leave("b")
    assert office.coordinator.reset() == 1
    assert office.transport.said == [("reset", ["a"])]
    office.join("b")
    office.leave("b")
    office.join("b")
    assert office.transport.said == [("reset", ["a"]), ("reset", ["b"])]


# What is left when an action fails


def started(office: Office) -> int:
    return office.coordinator.start_round().round


STORIES: dict[type, Callable[[Office], object]] = {
    machine.Open: started,
    machine.Ask: lambda office: (started(office), office.join("a")),
    machine.Fold: lambda office: office.deliver("a", started(office)),
    machine.Drop: lambda office: (started(office), office.leave("a"), office.join("a")),
    machine.Dismiss: lambda office: (started(office), office.later(60.1)),
    machine.Accept: lambda office: office.deliver("a", started(office)),
    machine.Refuse: lambda office: office.deliver("a", started(office) + 1),
    machine.Commit: lambda office: office.committed("a", "b"),
    machine.Abandon: lambda office: (started(office), office.refuse("a", 1), office.refuse("b", 1)),
    machine.Restore: lambda office: (office.committed("a", "b"), office.coordinator.rollback(1)),
}
"""For each action of the machine what brings it about."""


OF_SECURE_ROUNDS = {machine.Keep, machine.Tell}


@pytest.mark.parametrize("action", [action for action in get_args(machine.Action) if action not in OF_SECURE_ROUNDS])
def test_a_bug_in_any_action_costs_its_round_at_most(office: Office, monkeypatch: pytest.MonkeyPatch, action: type) -> None:
    failed: list[machine.Action] = []
    perform = Track._perform

    def failing(self: Track, due: machine.Action, reply: Any) -> None:
        if isinstance(due, action):
            failed.append(due)
            raise ZeroDivisionError("bug")
        perform(self, due, reply)

    monkeypatch.setattr(Track, "_perform", failing)
    with suppress(BrambleError, AssertionError):
        STORIES[action](office)
    office.drain()
    monkeypatch.setattr(Track, "_perform", perform)
    assert failed
    running = office.coordinator._tracks.first._state.running
    assert office.coordinator.view.tasks["small"].running == (running.number if running else None)
    office.later(60.1)  # what is still open ends at its deadline
    assert office.coordinator._tracks.first._state.running is None
    goes_on(office)


def test_open_whose_write_fails_has_not_happened(office: Office) -> None:
    office.full()
    with pytest.raises(StoreError, match="the disk is full"):
        office.coordinator.start_round()
    assert office.transport.said == []
    assert (office.coordinator.view.tasks["small"].running, office.coordinator.progress(1)) == (None, None)
    office.full(False)
    goes_on(office)


def test_open_that_reaches_nobody_is_an_open_round_which_everybody_sees_and_the_deadline_ends(office: Office) -> None:
    office.transport.broken = "ask"
    with pytest.raises(InternalError):
        office.coordinator.start_round()
    assert (office.coordinator.view.tasks["small"].running, office.coordinator.view.tasks["small"].waiting_for) == (1, ("a", "b"))
    office.transport.broken = ""
    office.later(60.1)
    assert office.record(1)["state"] == "abandoned"
    goes_on(office)


@pytest.mark.parametrize("error", [RoundFileError("round file: no space"), ZeroDivisionError("bug")])
def test_fold_that_fails_is_not_acknowledged_and_the_same_update_counts_when_it_comes_again(
    office: Office, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    number = office.coordinator.start_round().round
    mend = fail(monkeypatch, RoundFile, "append", error)
    with pytest.raises(BrambleError):
        office.deliver("a", number)
    assert office.coordinator.view.tasks["small"].waiting_for == ("a", "b")
    mend()
    office.deliver("a", number, 2.0)
    office.deliver("b", number, 4.0)
    assert office.stored() == (number, [3.0] * LAYOUT.size)


def test_ask_that_reaches_nobody_costs_only_the_one_who_came_back(office: Office) -> None:
    number = office.coordinator.start_round().round
    office.transport.broken = "ask"
    office.join("a")
    office.transport.broken = ""
    assert office.coordinator.view.tasks["small"].waiting_for == ("a", "b")
    office.deliver("b", number)
    office.later(60.1)
    assert (office.record(number)["state"], office.record(number)["updates"]) == ("committed", 1)
    goes_on(office)


def test_commit_whose_write_fails_abandons_its_round_and_the_model_stays(office: Office) -> None:
    before = office.committed("a", "b")
    number = office.coordinator.start_round().round
    office.deliver("a", number, 5.0)
    office.full()
    office.deliver("b", number, 5.0)
    assert office.stored() == (before, ONES)
    assert (office.coordinator.view.tasks["small"].model.round, office.coordinator.view.tasks["small"].running) == (before, None)
    office.full(False)
    office.later(endings.RETRY + 0.1)
    assert office.record(number)["state"] == "abandoned"
    assert "the disk is full" in office.record(number)["reason"]
    goes_on(office)


@pytest.mark.parametrize("method", ["fold", "finish"])
def test_commit_with_a_bug_abandons_its_round_with_a_sentence_and_the_log_has_the_rest(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    number = office.coordinator.start_round().round
    office.deliver("a", number)
    mend = fail(monkeypatch, FedAvg, method, ZeroDivisionError("bug"))
    office.deliver("b", number)
    mend()
    assert office.record(number)["reason"] == "the server failed to commit it, its log says why"
    assert "ZeroDivisionError" in caplog.text
    assert office.stored() is None
    goes_on(office)


def test_what_fails_after_a_commit_does_not_keep_the_round_open(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    number = office.coordinator.start_round().round
    office.deliver("a", number)
    mend = fail(monkeypatch, Commits, "told", ZeroDivisionError("bug"))
    office.deliver("b", number)
    mend()
    assert office.stored() == (number, ONES)
    first = office.coordinator.view.tasks["small"]
    assert (first.model.round, first.running, office.coordinator.progress(number)) == (number, None, None)
    goes_on(office)


def test_a_committed_round_is_over_for_everybody_before_its_file_is_let_go(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int | None]] = []
    let_go = Openings.let_go

    def look(*arguments: Any) -> None:
        seen.append((office.coordinator.view.tasks["small"].model.round, office.coordinator.view.tasks["small"].running))
        let_go(*arguments)

    monkeypatch.setattr(Openings, "let_go", look)
    number = office.committed("a", "b")
    assert seen == [(number, None)]


def test_abandon_with_a_bug_in_its_record_does_not_keep_the_round_open(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    number = office.coordinator.start_round().round
    office.refuse("a", number)
    mend = fail(monkeypatch, endings.Endings, "put", ZeroDivisionError("bug"))
    office.refuse("b", number)
    mend()
    assert (office.coordinator.view.tasks["small"].running, office.coordinator.progress(number)) == (None, None)
    goes_on(office)


def test_restore_whose_write_fails_has_not_happened(office: Office) -> None:
    first, second = office.committed("a", "b"), office.committed("a", "b", value=2.0)
    office.full()
    with pytest.raises(StoreError, match="the disk is full"):
        office.coordinator.rollback(first)
    assert office.coordinator.view.tasks["small"].model.round == second
    office.full(False)
    assert office.stored() == (second, [2.0] * LAYOUT.size)
    restored = office.coordinator.rollback(first)
    assert office.stored() == (restored, ONES)
    goes_on(office)


def test_reset_whose_write_fails_has_told_nobody_and_ends_the_open_round_alone(office: Office) -> None:
    before = office.committed("a", "b")
    number = office.coordinator.start_round().round
    office.full()
    with pytest.raises(StoreError, match="the disk is full"):
        office.coordinator.reset()
    assert "reset" not in [what for what, _ in office.transport.said]
    assert (office.coordinator.view.tasks["small"].model.round, office.coordinator.view.tasks["small"].running) == (before, None)
    office.full(False)
    office.later(endings.RETRY + 0.1)
    assert office.record(number)["state"] == "abandoned"
    goes_on(office)


def test_reset_that_reaches_nobody_has_happened_and_is_told_to_whoever_comes_back(office: Office) -> None:
    office.committed("a", "b")
    office.transport.broken = "reset"
    with pytest.raises(InternalError):
        office.coordinator.reset()
    office.transport.broken = ""
    assert (office.stored(), office.coordinator.view.tasks["small"].model.round) == (None, 0)
    goes_on(office)


def test_a_cycle_whose_write_fails_has_not_happened(office: Office) -> None:
    office.full()
    with pytest.raises(StoreError):
        office.coordinator.generate(3)
    office.full(False)
    assert (office.transport.said, office.coordinator.view.cycle) == ([], 0)
    assert office.coordinator.generate(3) == (1, 2)


def test_the_schedule_outlives_a_round_that_cannot_start(open_office: Open) -> None:
    office = open_office(every=5.0)
    office.full()
    office.join("a")
    assert office.coordinator.view.tasks["small"].running is None
    office.full(False)
    office.later(schedule.PAUSE + 0.1)
    assert office.coordinator.view.tasks["small"].running == 1


def test_a_round_whose_number_cannot_be_kept_comes_to_nothing_and_the_next_one_opens(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = fail(monkeypatch, Openings, "secure", StoreError("the disk is full"))
    with pytest.raises(StoreError, match="the disk is full"):
        office.coordinator.start_round()
    mend()
    assert office.coordinator.view.tasks["small"].running is None
    assert (office.record(1)["state"], office.record(1)["reason"]) == ("abandoned", "it is not on record: the disk is full")
    assert office.committed("a", "b") == 2


def test_what_is_stopped_leaves_its_round_open_for_the_next_start(office: Office) -> None:
    number = office.coordinator.start_round().round
    office.coordinator.stop()
    assert office.record(number)["state"] == "running"
    with pytest.raises(InternalError, match="stopping"):
        office.coordinator.start_round()
    office.shut()
