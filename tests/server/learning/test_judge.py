"""Who is left out, how far an update goes, and which round is refused; and who is not, however different."""

from __future__ import annotations

import itertools

import pytest

from bramble_server.learning.judge import Judge, Report, Verdict

MODEL = 8.0


def report(client: str, norm: float = 0.2, samples: int = 100, /, **metrics: float) -> Report:
    return Report(client, norm, samples, {"loss_before": 0.3, "loss_after": 0.25, **metrics})


def forecast(error: float, baseline: float = 10.0, samples: float = 24.0) -> dict[str, float]:
    return {"test_error": error, "test_baseline": baseline, "test_samples": samples}


def cohort(*odd: Report, usual: int = 4) -> list[Report]:
    return [*(report(f"pi-{i}", 0.15 + 0.05 * i, **forecast(4.0 + i / 2)) for i in range(usual)), *odd]


def left_out(reports: list[Report], judge: Judge | None = None) -> dict[str, str]:
    found = (judge or Judge()).verdicts(reports, MODEL)
    return {client: verdict.reason for client, verdict in found.items() if verdict.reason}


class TestEverybodyCounts:
    def test_a_usual_cohort_as_it_is(self) -> None:
        assert Judge().verdicts(cohort(), MODEL) == {f"pi-{i}": Verdict(None, 100, 1.0) for i in range(4)}

    @pytest.mark.parametrize(
        "odd",
        [
            report("cellar", 0.05, loss_before=4e-4, loss_after=2e-4, **forecast(0.03, 0.01)),
            report("greenhouse", 0.6, loss_before=2.5, loss_after=1.4, **forecast(55.0, 90.0)),
            report("ten-times-the-data", 0.5, 1000, **forecast(4.0)),
            report("newcomer", 0.3, 8000, loss_before=0.9, loss_after=0.4, **forecast(6.0, 14.0, 8000.0)),
        ],
        ids=lambda odd: odd.client,
    )
    def test_a_client_that_is_different_and_honest(self, odd: Report) -> None:
        assert left_out(cohort(odd)) == {}

    def test_one_that_lives_outdoors_among_cellars(self) -> None:
        judge = Judge()
        for skill in (1.0, 0.9, 0.6, 0.4):
            cellars = [
                report(f"cellar-{i}", 0.06, loss_before=5e-4, loss_after=4e-4, **forecast(0.015 * (1 + skill), 0.01)) for i in range(4)
            ]
            outdoors = report("garden", 0.3, loss_before=0.9 * skill, loss_after=0.8 * skill, **forecast(20 * skill, 20.0))
            assert left_out([*cellars, outdoors], judge) == {}

    @pytest.mark.parametrize("count", [1, 2])
    def test_of_two_nobody_can_say_which_is_odd(self, count: int) -> None:
        assert left_out([report("a"), report("b", 7.0, loss_before=9.0, loss_after=8.0)][:count]) == {}

    def test_a_loss_that_came_down_however_far_up_it_is(self) -> None:
        assert left_out([report("a", loss_before=900.0, loss_after=50.0)]) == {}


class TestLeftOut:
    @pytest.mark.parametrize("usual", [2, 4, 9])
    def test_an_update_many_times_as_long_as_the_others(self, usual: int) -> None:
        out = left_out(cohort(report("attic", 6.6), usual=usual))
        assert set(out) == {"attic"}
        assert out["attic"].startswith("its update is 6.6 long, ")

    def test_two_of_five(self) -> None:
        assert set(left_out(cohort(report("x", 9.0), report("y", 1e3), usual=3))) == {"x", "y"}

    @pytest.mark.parametrize("norm", [9e17, 6.6e11, 1e3])
    @pytest.mark.parametrize("others", [0, 1, 4])
    def test_weights_that_no_training_makes_whoever_else_is_there(self, norm: float, others: int) -> None:
        assert set(left_out(cohort(report("attic", norm), usual=others))) == {"attic"}

    @pytest.mark.parametrize("others", [0, 1, 4])
    def test_training_that_made_the_model_worse(self, others: int) -> None:
        odd = report("attic", loss_before=0.75, loss_after=54.6, **forecast(4.0))
        assert left_out(cohort(odd, usual=others)) == {"attic": "training made the model worse there (loss 0.75 to 54.6)"}

    def test_a_loss_far_above_the_others_without_a_word_for_it(self) -> None:
        out = left_out(cohort(report("attic", loss_before=54.6, loss_after=54.6)))
        assert out == {"attic": "its loss is 54.6, 182 times the cohort's median, and the model cannot forecast it"}

    def test_noise_that_the_model_which_knows_the_others_cannot_forecast(self) -> None:
        odd = report("attic", loss_before=9.1, loss_after=4.8, **forecast(220.0, 230.0))
        assert set(left_out(cohort(odd))) == {"attic"}

    def test_a_wire_that_comes_loose_after_many_good_rounds(self) -> None:
        judge = Judge()
        for _ in range(20):
            assert left_out(cohort(report("attic", **forecast(4.0))), judge) == {}
        outs = [left_out(cohort(report("attic", loss_before=9.0, loss_after=5.0, **forecast(230.0, 230.0))), judge) for _ in range(2)]
        assert "attic" in outs[-1]

    def test_whoever_comes_first(self) -> None:
        reports = cohort(report("x", 9.0), report("y", loss_before=60.0, loss_after=60.0), usual=3)
        verdicts = [Judge().verdicts(list(order), MODEL) for order in itertools.permutations(reports)]
        assert all(found == verdicts[0] for found in verdicts)


class TestBounded:
    def test_samples_by_the_fleets_median(self) -> None:
        found = Judge().verdicts(cohort(report("attic", 0.2, 10_000_000)), MODEL)
        assert {client: verdict.samples for client, verdict in found.items()} == {**{f"pi-{i}": 100 for i in range(4)}, "attic": 300}

    @pytest.mark.parametrize("order", [(50, 10_000_000), (10_000_000, 50)])
    def test_of_two_by_the_smaller(self, order: tuple[int, int]) -> None:
        found = Judge().verdicts([report(str(count), 0.2, count) for count in order], MODEL)
        assert {verdict.samples for verdict in found.values()} == {50, 150}

    def test_a_longer_update_by_the_median_norm(self) -> None:
        found = Judge().verdicts([report("a", 1.0), report("b", 1.0), report("c", 6.0)], MODEL)
        assert [found[client].reach for client in "abc"] == [1.0, 1.0, 0.25]

    def test_nothing_where_nobody_moved(self) -> None:
        found = Judge().verdicts([report("a", 0.0), report("b", 0.0), report("c", 0.1)], MODEL)
        assert [verdict.reason for verdict in found.values()] == [None] * 3
        assert found["a"].reach == 1.0


class TestExplosion:
    @pytest.fixture
    def judge(self) -> Judge:
        judge = Judge()
        for loss in (0.8, 0.75, 0.7):
            judge.committed({"loss_after": loss, "test_error": 5.0})
        return judge

    @pytest.mark.parametrize("pooled", [{"loss_after": 7.0}, {"loss_after": 0.01, "test_error": 49.0}, {}])
    def test_a_round_like_the_last_ones_may_become_the_model(self, judge: Judge, pooled: dict[str, float]) -> None:
        assert judge.explosion([report("a", **pooled)], pooled) is None

    def test_one_far_above_them_may_not_and_the_client_is_named(self, judge: Judge) -> None:
        reports = [report("a"), report("attic", loss_before=110.0, loss_after=109.0)]
        sentence = judge.explosion(reports, {"loss_after": 54.6})
        assert sentence is not None
        assert sentence.startswith(
            "the loss would be 54.6, 73 times the last rounds', because of attic: check the sensors there, or go back"
        )
        for _ in range(10):  # and it is not got used to
            assert judge.explosion(reports, {"loss_after": 54.6})

    def test_a_test_error_far_above_them_too(self, judge: Judge) -> None:
        sentence = judge.explosion(
            [report("a", **forecast(600.0)), report("b", **forecast(700.0))], {"loss_after": 0.7, "test_error": 650.0}
        )
        assert sentence is not None
        assert sentence.startswith("the test error would be 650, 130 times the last rounds', because of a, b:")

    def test_a_world_that_changed_for_everybody_is_believed_after_three_rounds(self, judge: Judge) -> None:
        reports = [report(client, loss_before=60.0, loss_after=50.0) for client in "abc"]
        answers = [judge.explosion(reports, {"loss_after": 50.0}) is None for _ in range(5)]
        assert answers == [False, False, False, True, True]

    def test_a_client_that_is_only_different_is_not_blamed(self, judge: Judge) -> None:
        odd = report("garden", loss_before=20.0, loss_after=15.0, **forecast(80.0, 90.0))
        judge.verdicts([report("a"), odd], MODEL)
        assert judge.explosion([report("a"), odd], {"loss_after": 10.0}) is None

    def test_nothing_is_far_before_the_first_round(self) -> None:
        assert Judge().explosion([report("a", loss_after=1e6)], {"loss_after": 1e6}) is None

    def test_a_restart_recalls_what_was_usual(self) -> None:
        judge = Judge()
        parts = {"a": {**forecast(4.0), "samples": 5, "loss_after": None}}
        judge.recall([{"metrics": {"loss_after": 0.7}, "clients": parts}, {"metrics": {}}])
        assert judge.explosion([report("b", loss_after=54.6)], {"loss_after": 54.6})
