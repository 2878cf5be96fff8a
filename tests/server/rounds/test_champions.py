"""Which model is the best so far, and when the newest gives way to it: what decides, and a server that goes by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol.messages import Delivery, Timing, TrainingComplete
from bramble_server.rounds.champions import Duel, Findings, Rules, judged
from bramble_server.rounds.schedule import PAUSE
from bramble_server.rounds.writer import RefusedError
from bramble_server.store import StoreError, models, standings
from bramble_server.store.standings import Standing
from tests.server.office import Office
from tests.server.process import LAYOUT

RULES = Rules(bound=0.1, rounds=2, read=math.sqrt)
BEST = Standing(3, 1.0, 2.0, 100, champion=True)


def findings(error: float, baseline: float = 2.0, samples: float = 100, duel: Duel | None = None) -> Findings:
    return Findings({"test_error": error, "test_baseline": baseline, "test_samples": samples}, duel)


def after(base: Standing, found: Findings, champion: Standing | None = BEST) -> Standing | None:
    return judged(champion, base, found, RULES)


class TestDecision:
    def test_the_first_model_that_is_tested_is_the_best(self) -> None:
        assert after(Standing(1, 1.0, 2.0, 20), findings(1.0, samples=20), None) == Standing(1, 1.0, 2.0, 20, champion=True)

    def test_a_test_on_a_few_windows_crowns_nobody(self) -> None:
        assert after(Standing(1, 1.0, 2.0, 19), findings(1.0, samples=19), None) is None
        assert after(Standing(4, 0.1, 2.0, 19), findings(0.1, samples=19)) == BEST

    def test_on_the_same_windows_the_one_with_the_smaller_error_is_better_whatever_the_season(self) -> None:
        worse_than_ever = Standing(4, 9.0, 9.0, 100)
        crowned = after(worse_than_ever, findings(9.0, 9.0, duel=Duel(9.0, 9.5, 100, 1.0)))
        assert crowned == Standing(4, 9.0, 9.0, 100, champion=True)
        assert after(worse_than_ever, findings(9.0, 9.0, duel=Duel(9.0, 8.9, 100, 0.4))) == BEST

    def test_where_nobody_tests_both_the_baseline_tells_which_is_better(self) -> None:
        assert after(Standing(4, 1.5, 4.0, 100), findings(1.5, 4.0)) == Standing(4, 1.5, 4.0, 100, champion=True)
        assert after(Standing(4, 0.9, 1.0, 100), findings(0.9, 1.0)) == BEST

    @pytest.mark.parametrize(("error", "worse"), [(1.2, 0), (1.22, 1)])  # of squares: the bound is on the root
    def test_the_bound_is_on_the_metric_that_people_read(self, error: float, worse: int) -> None:
        found = after(Standing(4, error, 2.0, 100), findings(error, duel=Duel(error, 1.0, 100, 0.0)))
        assert found == Standing(3, 1.0, 2.0, 100, champion=True, worse=worse)

    def test_worse_rounds_count_in_a_row_and_one_within_the_bound_ends_it(self) -> None:
        once = after(Standing(4), findings(4.0, duel=Duel(4.0, 1.0, 100, 0.0)))
        assert once is not None
        twice = after(Standing(5), findings(4.0, duel=Duel(4.0, 1.0, 100, 0.0)), once)
        assert twice is not None
        assert (once.worse, twice.worse) == (1, 2)
        assert after(Standing(6), findings(1.1, duel=Duel(1.1, 1.0, 100, 0.0)), twice) == BEST

    @pytest.mark.parametrize(("newest", "best", "worse"), [(2.1, 1.5, 2), (1.9, 1.5, 1), (3.0, 2.1, 1)])
    def test_one_beyond_the_baseline_is_worse_often_enough_at_once_where_the_best_is_not(
        self, newest: float, best: float, worse: int
    ) -> None:
        found = after(Standing(4), findings(newest, duel=Duel(newest, best, 100, 0.0, baseline=2.0)))
        assert found == Standing(3, 1.0, 2.0, 100, champion=True, worse=worse)

    def test_one_client_that_lies_decides_nothing(self) -> None:
        lying = Duel.of([_report(1e9, 1.0), *[_report(1.0, 1.0)] * 3], 3)
        assert lying is not None
        assert lying.newest > 1e8
        assert after(Standing(4), findings(1.0, duel=lying)) == BEST
        flattering = Duel.of([_report(0.0, 1e9), *[_report(1.1, 1.0)] * 3], 3)
        assert flattering is not None
        assert after(Standing(4), findings(1.0, duel=flattering)) == BEST

    def test_a_pinned_one_stays_though_the_newest_is_better(self) -> None:
        pinned = Standing(3, 1.0, 2.0, 100, champion=True, pinned=True, worse=1)
        assert after(Standing(4), findings(0.5, duel=Duel(0.5, 1.0, 100, 1.0)), pinned) == Standing(3, 1.0, 2.0, 100, True, True)
        assert after(Standing(4, 0.1, 2.0, 100), findings(0.1), pinned) == pinned

    def test_errors_of_a_duel_pool_by_windows_over_those_that_tested_this_champion(self) -> None:
        other = {"champion": 2.0, "champion_error": 9.0, "test_error": 9.0, "test_samples": 90.0}
        untested = {"champion": 3.0, "champion_error": 9.0}
        found = Duel.of([_report(1.0, 2.0, 10), _report(4.0, 3.0, 30), other, untested, {}], 3)
        assert found == Duel(3.25, 2.75, 40, 0.5, 2.0)
        assert Duel.of([other], 3) is Duel.of([_report(1.0, 1.0)], None) is None


def _report(error: float, best: float, samples: float = 25) -> dict[str, float]:
    return {"champion": 3.0, "champion_error": best, "test_error": error, "test_baseline": 2.0, "test_samples": samples}


Open = Callable[..., Office]


@pytest.fixture
def open_office(tmp_path: Path) -> Iterator[Open]:
    opened: list[Office] = []

    def open_with(**settings: Any) -> Office:
        opened.append(Office(tmp_path, **settings))
        opened[-1].join("a", "b")
        return opened[-1]

    yield open_with
    for office in opened:
        if office.coordinator._writer._task.is_alive():
            office.close()


def play(office: Office, value: float, error: float, best: float | None = None, baseline: float = 1000.0) -> int:
    """Run a round to a model of this value, in which clients find these errors of the one that it begins with, and of the champion."""
    number = office.coordinator.start_round().round
    for client in ("a", "b"):
        asked = office.transport.asked[client]
        metrics = {"test_samples": 50.0, "test_error": error, "test_baseline": baseline}
        if best is not None:
            assert asked.champion, "there is no champion beside it"
            metrics |= {"champion": float(asked.champion.round), "champion_error": best}
        complete = TrainingComplete(number, LAYOUT, "float32", np.full(LAYOUT.size, value, np.float32), 10, metrics, Timing(1.0, 2.0, 3.0))
        office.coordinator.deliver(client, Delivery.from_wire(complete.to_wire(), LAYOUT))
    office.drain()
    return number


def champion(office: Office) -> tuple[int, bool, int] | None:
    """Round, whether it is pinned and how often the newest was worse, as all see it and as it is on the disk."""
    seen = office.coordinator.view.tasks["small"].champion
    with office.store.reading() as connection:
        assert standings.champion(connection, "small") == seen
    return None if seen is None else (seen.round, seen.pinned, seen.worse)


class TestServer:
    def test_what_a_round_finds_is_of_the_model_that_it_began_with(self, open_office: Open) -> None:
        office = open_office()
        play(office, 1.0, 9.0)
        assert champion(office) is None, "the initial model is no commit"
        play(office, 2.0, 1.0)
        assert champion(office) == (1, False, 0)
        assert "champion" not in office.transport.asked["a"].to_wire(("sections", "champion")), "the newest was the best"
        play(office, 3.0, 2.0)
        asked = office.transport.asked["a"]
        assert asked.champion
        assert (asked.champion.round, asked.champion.weights.tolist()) == (1, [1.0] * LAYOUT.size)
        with office.store.reading() as connection:
            assert {number: one.error for number, one in standings.of(connection, "small").items()} == {1: 1.0, 2: 2.0}

    def test_a_better_one_takes_its_place(self, open_office: Open) -> None:
        office = open_office()
        for value, error, best in ((1.0, 9.0, None), (2.0, 1.0, None), (3.0, 0.9, 1.0)):
            play(office, value, error, best)
        assert champion(office) == (2, False, 0)

    def test_the_best_is_kept_when_older_and_newer_ones_are_let_go(self, open_office: Open) -> None:
        office = open_office(keep_models=2, keep_rounds=100, champion_rounds=0)
        for number in range(7):
            play(office, float(number), 1.0 if number == 2 else 3.0)
        with office.store.reading() as connection:
            assert models.kept(connection, "small") == [2, 6, 7]

    def test_the_server_goes_back_by_itself_after_so_many_rounds_and_says_so(
        self, open_office: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        office = open_office()
        play(office, 1.0, 9.0)
        play(office, -50.0, 1.0)  # model 2 is a poisoned one
        play(office, -40.0, 90.0, 1.0)
        assert champion(office) == (1, False, 1)
        play(office, -30.0, 80.0, 1.0)
        assert office.stored() == (5, [1.0] * LAYOUT.size)
        assert champion(office) == (5, False, 0), "it is the same model, under its new number"
        record = office.record(5)
        said = "the newest model's error was more than 10% above its in 2 rounds, or once above the baseline's"
        assert (record["rollback_of"], record["reason"]) == (1, f"rolled back to the model of round 1: {said}")
        assert said in caplog.text
        assert b'bramble_models_given_up_total{task="small"} 1.0' in office.metrics.text()
        play(office, 2.0, 1.0)
        assert office.transport.asked["a"].champion is None
        assert office.transport.asked["a"].weights.tolist() == [1.0] * LAYOUT.size

    def test_it_goes_back_at_once_from_one_that_is_worse_than_the_baseline(self, open_office: Open) -> None:
        office = open_office()
        play(office, 1.0, 9.0)
        play(office, -50.0, 1.0)
        play(office, -40.0, 9.0, 1.0, baseline=4.0)
        assert office.stored() == (4, [1.0] * LAYOUT.size)

    def test_so_it_does_where_the_judge_lets_no_round_of_a_broken_model_commit(self, open_office: Open) -> None:
        office = open_office()
        for value in (1.0, 1.1, 1.2):
            play(office, value, 1.0, baseline=0.5)  # the best is worse than that itself
        best = champion(office)
        assert best
        play(office, -50.0, 1.0, baseline=0.5)
        for _ in range(2):
            number = play(office, 1.0, 900.0, 1.0, baseline=0.5)
            assert office.record(number)["state"] == "abandoned"
        assert office.record(number + 1)["rollback_of"] == 3
        assert office.coordinator.view.tasks["small"].model.weights.tolist() == pytest.approx([1.2] * LAYOUT.size)

    def test_with_0_rounds_it_never_does_and_asks_nobody_to_compare(self, open_office: Open) -> None:
        office = open_office(champion_rounds=0)
        for error in (9.0, 1.0, 3.0, 3.0, 3.0):
            play(office, error, error)
        assert (office.stored() or (0,))[0] == 5
        assert office.transport.asked["a"].champion is None

    def test_one_that_was_killed_before_it_went_back_does_so_at_its_next_start(
        self, open_office: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = open_office()
        play(office, 1.0, 9.0)
        play(office, -50.0, 1.0)
        play(office, -40.0, 90.0, 1.0)
        monkeypatch.setattr("bramble_server.rounds.track.Track.give_way", lambda self: None)
        play(office, -30.0, 80.0, 1.0)
        office.die()
        monkeypatch.undo()
        office = open_office()
        assert office.stored() == (5, [1.0] * LAYOUT.size)
        assert champion(office) == (5, False, 0)

    def test_one_whose_disk_is_full_goes_back_with_the_next_round(self, open_office: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        office = open_office()
        play(office, 1.0, 9.0)
        play(office, -50.0, 1.0)
        play(office, -40.0, 90.0, 1.0)

        def refuse(*_: Any) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as full:
            full.setattr("bramble_server.rounds.commits.Commits.restore", refuse)
            play(office, -30.0, 80.0, 1.0)
        assert (office.stored() or (0,))[0] == 4
        play(office, -20.0, 80.0, 1.0)
        assert office.stored() == (6, [1.0] * LAYOUT.size)


class TestByHand:
    def test_a_pinned_model_is_what_clients_get_to_use_while_others_are_learnt(self, open_office: Open) -> None:
        office = open_office(keep_models=1)
        play(office, 1.0, 9.0)
        assert office.coordinator.pin(1) == 1
        play(office, 2.0, 2.0)
        play(office, 3.0, 1.0, 2.0)
        asked = office.transport.asked["b"]
        assert asked.best.tolist() == [1.0] * LAYOUT.size
        assert asked.weights.tolist() == [2.0] * LAYOUT.size
        assert champion(office) == (1, True, 0)
        assert office.coordinator.pin(None) == 1
        play(office, 4.0, 1.0, 2.0)
        assert champion(office) == (3, False, 0)
        assert office.coordinator.pin(None) is None

    def test_it_outlives_the_server(self, open_office: Open) -> None:
        office = open_office()
        play(office, 1.0, 9.0)
        office.coordinator.pin(1)
        office.die()
        assert champion(open_office()) == (1, True, 0)

    def test_what_is_not_kept_cannot_be_pinned(self, open_office: Open) -> None:
        office = open_office()
        with pytest.raises(RefusedError, match="the model of round 7 is not kept; there are those of rounds none"):
            office.coordinator.pin(7)

    def test_what_was_brought_back_by_hand_is_the_champion_and_nobody_goes_away_from_it_again(self, open_office: Open) -> None:
        office = open_office()
        for value, error, best in ((1.0, 9.0, None), (2.0, 2.0, None), (3.0, 1.0, 2.0)):
            play(office, value, error, best)
        assert champion(office) == (2, False, 0)
        assert office.coordinator.rollback(1) == 4
        assert champion(office) == (4, False, 0)
        with office.store.reading() as connection:
            assert standings.of(connection, "small")[4].error == 2.0, "it is the same model"

    def test_a_rollback_ends_the_open_round_unused_and_its_updates_come_too_late(self, open_office: Open) -> None:
        office = open_office()
        play(office, 1.0, 9.0)
        play(office, 2.0, 2.0)
        number = office.coordinator.start_round().round
        office.deliver("a", number, 7.0)
        assert office.coordinator.rollback(1) == number + 1
        record = office.record(number)
        assert (record["state"], record["reason"]) == ("abandoned", "rolled back to the model of round 1")
        with pytest.raises(RefusedError, match="round over"):
            office.deliver("b", number, 7.0)
        assert office.stored() == (number + 1, [1.0] * LAYOUT.size)
        play(office, 3.0, 1.0)
        assert (office.stored() or (0,))[0] == number + 2

    def test_to_one_that_is_not_kept_leaves_the_open_round_alone(self, open_office: Open) -> None:
        office = open_office()
        number = office.coordinator.start_round().round
        with pytest.raises(RefusedError, match="is not kept"):
            office.coordinator.rollback(9)
        assert office.coordinator.view.tasks["small"].running == number

    def test_asynchronous_rounds_go_on_from_the_model_that_is_back(self, open_office: Open) -> None:
        office = open_office(discipline="asynchronous", buffer=2)
        first = play(office, 1.0, 9.0)
        second = office.coordinator.view.tasks["small"].running
        assert second == first + 1
        for client in ("a", "b"):
            office.deliver(client, second, 2.0)
        third = office.coordinator.view.tasks["small"].running
        assert third == second + 1
        assert office.coordinator.rollback(first) == third + 1
        office.later(PAUSE)
        assert office.coordinator.view.tasks["small"].running == third + 2
        assert office.transport.asked["a"].weights.tolist() == [1.0] * LAYOUT.size

    def test_a_reset_leaves_no_champion(self, open_office: Open) -> None:
        office = open_office()
        play(office, 1.0, 9.0)
        office.coordinator.pin(1)
        office.coordinator.reset()
        assert champion(office) is None
        play(office, 1.0, 9.0)
        assert office.transport.asked["a"].champion is None
