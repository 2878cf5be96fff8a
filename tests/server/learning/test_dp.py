"""Differential privacy by the server: the mechanism, exactly, and what it does not stand around."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bramble_protocol.accountant import Release, renyi
from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import TrainConfig
from bramble_server.learning.strategies import Aggregate, Context, Update, conclude, create, named, planned
from bramble_server.learning.strategies.dp import PACE

CONFIG = TrainConfig(epochs=1, deadline_s=30.0)
SILENT = 1e-9
"""A noise multiplier with which what is left can be computed by hand."""


def played(name: str, model: Weights, rows: Sequence[Any], asked: int | None = None, drawn: int | None = 1, **options: Any) -> Aggregate:
    """Play one round in which so many were asked, and these answered."""
    strategy = create(name, **{"measured": 0.0, **options})
    names = [f"pi-{number}" for number in range(asked or len(rows))]
    planned(strategy, Context(1, model, CONFIG, drawn), names)
    strategy.begin(model)
    for number, row in enumerate(rows):
        strategy.fold(Update(names[number], 10 ** (number % 4 + 1), np.asarray(row, np.float32)))
    return conclude(strategy, model)


def test_the_next_model_is_the_mean_of_shortened_changes_each_client_counted_alike() -> None:
    model = np.array([1.0, 2.0], np.float32)
    found = played("dp", model, model + np.array([[3.0, 4.0], [0.0, 0.5], [-0.3, 0.4]]), clip=1.0, noise_multiplier=SILENT)
    np.testing.assert_allclose(found.weights, model + np.array([0.6 + 0.0 - 0.3, 0.8 + 0.5 + 0.4]) / 3, rtol=1e-6)


def test_who_was_asked_and_did_not_answer_counts_as_no_change() -> None:
    model = np.zeros(2, np.float32)
    np.testing.assert_allclose(
        played("dp", model, [[0.5, 0.0]], asked=5, noise_multiplier=SILENT).weights, [0.1, 0.0], rtol=1e-6, atol=1e-8
    )


def test_where_coins_say_who_is_asked_the_sum_is_divided_by_how_many_were_to_be_expected() -> None:
    model, strategy = np.zeros(2, np.float32), create("dp", noise_multiplier=SILENT, measured=0.0)
    planned(strategy, Context(1, model, CONFIG, expected=8.0), ["a", "b"])
    strategy.begin(model)
    for client in ("a", "b"):
        strategy.fold(Update(client, 1, np.array([0.4, 0.0], np.float32)))
    np.testing.assert_allclose(conclude(strategy, model).weights, [0.1, 0.0], atol=1e-8)


def test_one_client_moves_the_sum_by_the_clip_at_most_whatever_it_sends_and_whatever_others_do() -> None:
    model, others = np.zeros(3, np.float32), np.random.default_rng(0).normal(0, 0.1, (9, 3))
    without = played("dp", model, [*others, np.zeros(3)], clip=0.5, noise_multiplier=SILENT).weights
    for lie in ([1e6, 0, 0], [-3.0, 9.0, 1e-3], [0.1, 0.1, 0.1]):
        moved = 10 * np.linalg.norm(played("dp", model, [*others, lie], clip=0.5, noise_multiplier=SILENT).weights - without)
        assert moved <= 0.5 * (1 + 1e-4)


def test_the_noise_has_the_deviation_that_was_set_in_every_number() -> None:
    model = np.zeros(200_000, np.float32)
    found = played("dp", model, [model] * 4, clip=2.0, noise_multiplier=3.0).weights
    assert float(found.std()) == pytest.approx(3.0 * 2.0 / 4, rel=0.01)  # six deviations of the estimate
    assert abs(float(found.mean())) < 0.02
    assert float(np.mean(np.abs(found) > 1.5)) == pytest.approx(0.3173, abs=0.01)


def test_a_server_draws_what_nobody_can_repeat_and_a_simulation_repeats() -> None:
    model = np.zeros(8, np.float32)
    one, other = (played("dp", model, [model], drawn=None).weights for _ in range(2))
    assert (one != other).all()
    assert (played("dp", model, [model], drawn=7).weights == played("dp", model, [model], drawn=7).weights).all()
    assert (played("dp", model, [model], drawn=7).weights != played("dp", model, [model], drawn=8).weights).all()


def test_what_it_stands_around_is_given_the_sum() -> None:
    model, rows = np.zeros(2, np.float32), [[0.3, 0.0], [0.0, 0.3], [0.3, 0.3]]
    state: dict[str, Any] = {"noise_multiplier": SILENT, "momentum": 0.5}
    first = played("dp+fedavgm", model, rows, **state)
    np.testing.assert_allclose(first.weights, [0.2, 0.2], rtol=1e-5)
    assert "dp:clip" in first.state
    assert len(first.state) == 2
    again = create("dp+fedavgm", **state)
    again.restore(first.state)
    planned(again, Context(2, first.weights, CONFIG, 1), ["a"])
    again.begin(first.weights)
    again.fold(Update("a", 1, first.weights))
    np.testing.assert_allclose(again.finish(), [0.3, 0.3], rtol=1e-5)  # goes on with half of the last step


class TestClipThatAdapts:
    """Andrew et al. 2021, algorithm 1, with 100 clients whose updates are 0.01 to 1 long."""

    rows = tuple(np.array([length / 100, 0.0]) for length in range(1, 101))

    @pytest.mark.parametrize(("clip", "within"), [(2.0, 100), (0.255, 25), (1e-3, 0)])
    def test_it_moves_by_the_part_that_was_within(self, clip: float, within: int) -> None:
        options: dict[str, Any] = {"clip": clip, "noise_multiplier": SILENT, "quantile": 0.5}
        rounds = [played("dp", np.zeros(2, np.float32), self.rows, drawn=n, **options) for n in range(200)]
        moves = [math.log(float(each.state["dp:clip"]) / clip) for each in rounds]
        # the count has noise of a twentieth of the clients: one deviation is 0.01 of the logarithm, and 200 are averaged
        assert float(np.mean(moves)) == pytest.approx(-PACE * (within / 100 - 0.5), abs=0.005)
        assert 0.007 < float(np.std(moves)) < 0.013

    def test_it_is_remembered_with_the_model_and_ends_at_the_quantile(self) -> None:
        model = np.zeros(2, np.float32)
        state: dict[str, Any] = {}
        for number in range(200):
            strategy = create("dp", clip=10.0, noise_multiplier=0.1, quantile=0.3)
            if state:
                strategy.restore(state)
            planned(strategy, Context(number, model, CONFIG, number), [f"pi-{n}" for n in range(100)])
            strategy.begin(model)
            for number_, row in enumerate(self.rows):
                strategy.fold(Update(f"pi-{number_}", 1, row.astype(np.float32)))
            state = dict(conclude(strategy, model).state)
        assert float(state["dp:clip"]) == pytest.approx(0.3, rel=0.25)

    @pytest.mark.parametrize("length", [0.0, 1.0, 1e6])
    def test_who_is_there_or_not_changes_the_count_by_half_at_most(self, length: float) -> None:
        options: dict[str, Any] = {"asked": 100, "clip": 1.0, "noise_multiplier": SILENT, "quantile": 0.5}
        rows = [np.array([0.5, 0.0])] * 50
        with_it, without = (
            math.log(float(played("dp", np.zeros(2, np.float32), each, **options).state["dp:clip"]))
            for each in ([*rows, np.array([length, 0.0])], rows)
        )
        assert abs(with_it - without) == pytest.approx(PACE * 0.5 / 100)

    @pytest.mark.parametrize("clients", [2, 100, 100_000])
    @pytest.mark.parametrize("measured", [0.0, 0.1, 0.5])
    def test_all_releases_together_cost_what_one_says(self, clients: int, measured: float) -> None:
        strategy: Any = create("dp", noise_multiplier=2.0, quantile=0.5, measured=measured)
        planned(strategy, Context(1, np.zeros(2, np.float32), CONFIG), [f"pi-{n}" for n in range(clients)])
        # a count moves by half if it is centred, as there, and a mean of errors by one
        both = renyi(Release(strategy._deviation)) + renyi(Release(2 * strategy._count_deviation))
        errors = renyi(Release(strategy._measure_deviation)) if measured else 0.0
        np.testing.assert_allclose(both + errors, renyi(Release(2.0)), rtol=1e-9)


class TestWhatIsTold:
    """Of a round's errors: one mean, with noise."""

    def told(self, said: Sequence[dict[str, float]], asked: int, drawn: int = 1, **options: Any) -> Any:
        strategy, model = create("dp", noise_multiplier=0.1, **options), np.zeros(2, np.float32)
        names = [f"pi-{number}" for number in range(asked)]
        planned(strategy, Context(1, model, CONFIG, drawn), names)
        strategy.begin(model)
        for name, metrics in zip(names, said, strict=False):
            strategy.fold(Update(name, 1, model, metrics))
        strategy.finish()
        return strategy.measures()

    def test_it_is_the_mean_of_errors_over_baselines_each_cut_and_1_where_nothing_was_tested(self) -> None:
        half = {"test_error": 2.0, "test_baseline": 4.0, "test_samples": 9.0}
        far, none, absurd = {**half, "test_error": 1e9}, {**half, "test_baseline": 0.0}, {**half, "test_error": math.inf}
        found = [self.told([half, half, far, none, {}, absurd], 8, drawn)["relative_error"] for drawn in range(400)]
        # 0.5, 0.5, 2, 1, 1, 2 and two that did not answer
        assert float(np.mean(found)) == pytest.approx(9 / 8, abs=4 * 0.05 / 20)
        assert float(np.std(found)) == pytest.approx(0.05, rel=0.15), "a twentieth"

    @pytest.mark.parametrize("error", [0.0, 3.0, 1e30, -5.0, math.nan])
    def test_one_client_moves_it_by_one_over_all_at_most(self, error: float) -> None:
        one = {"test_error": error, "test_baseline": 1.0, "test_samples": 5.0}
        moved = self.told([one], 10)["relative_error"] - self.told([], 10)["relative_error"]
        assert abs(moved) <= 0.1 + 1e-12

    def test_it_can_be_left_out(self) -> None:
        assert self.told([{"test_error": 1.0, "test_baseline": 2.0, "test_samples": 5.0}], 3, measured=0.0) == {}


def test_what_a_round_costs_is_what_was_set() -> None:
    assert create("dp", noise_multiplier=2.5).release == Release(2.5)
    assert create("fedavg").release is create("normbound").release is None


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("dp+median", {}, "dp cannot stand around a strategy that needs more than a sum"),
        ("dp+qfedavg", {}, "needs more than a sum"),
        ("dp+scaffold", {}, "needs more than a sum"),
        ("dp+normbound", {}, "needs more than a sum"),
        ("dp+dp", {}, "dp cannot stand around a strategy that has a parameter clip of its own"),
        ("fedavg+dp", {}, "fedavg stands around no other; normbound and dp do"),
        ("dp+fedavgn", {}, "'fedavgn' is not one of .* did you mean"),
        ("dp", {"clip": 0}, "clip of dp is a number, above 0"),
        ("dp", {"noise_multiplier": 0}, "noise_multiplier of dp is a number, above 0"),
        ("dp", {"quantile": 1}, "quantile of dp is a number, at least 0 and below 1"),
    ],
)
def test_what_would_be_no_promise_is_refused_by_name(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BrambleError, match=says):
        named(name, options).make()


@pytest.mark.parametrize("options", [{}, {"quantile": 0.5}, {"measured": 0.0}, {"quantile": 0.3, "measured": 0.5, "colluding": 4}])
@pytest.mark.parametrize("asked", [5, 400])
def test_shares_of_the_noise_come_to_what_the_multiplier_says(options: dict[str, Any], asked: int) -> None:
    strategy = create("dp", clip=0.25, noise_multiplier=2.0, **options)
    planned(strategy, Context(1, np.zeros(2, np.float32), CONFIG), [f"pi-{number}" for number in range(asked)])
    noise = strategy.shared(least=5)
    assert noise.multiplier == pytest.approx(2.0)
    assert (noise.clip, noise.least) == (0.25, 5)
    assert noise.bound < 2 * 0.25


def test_a_sum_with_the_noise_in_it_becomes_the_model_that_the_server_would_have_made_of_it() -> None:
    model = np.array([1.0, 2.0], np.float32)
    strategy = create("dp", clip=1.0, quantile=0.5)
    planned(strategy, Context(1, model, CONFIG), ["a", "b", "c", "d"])
    strategy.begin(model)
    strategy.summed(np.array([0.8, -0.4]), {"within": 1.0, "relative": -2.0})
    found = conclude(strategy, model)
    assert found.weights == pytest.approx([1.2, 1.9])
    assert strategy.measures() == {"relative_error": 0.5}
    assert float(found.state["dp:clip"]) == pytest.approx(math.exp(-PACE * 0.25))
