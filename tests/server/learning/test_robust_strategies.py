"""Strategies that stand liars: each beside the paper, within its bound, failing past it, and the same bits however it is read back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import TrainConfig
from bramble_server.learning.aggregate import AggregateError
from bramble_server.learning.strategies import Context, Update, conclude, create, named, planned
from bramble_server.rounds import headroom
from tests.examples import examples
from tests.server.office import Office
from tests.server.process import LAYOUT

Vector = NDArray[np.float64]
ROBUST: dict[str, dict[str, Any]] = {
    "median": {},
    "trimmedmean": {"share": 0.3},
    "krum": {"liars": 2},
    "multikrum": {"liars": 2, "chosen": 3},
    "rfa": {"iterations": 4},
    "normbound": {"bound": 2.0},
}


def result(name: str, rows: Any, samples: Sequence[int] | None = None, model: Weights | None = None, **options: Any) -> Weights:
    """Make a model of clients' weights, one row each."""
    rows = np.asarray(rows, np.float32)
    model = np.zeros(rows.shape[1], np.float32) if model is None else model
    clients = [f"pi-{i:03}" for i in range(len(rows))]
    strategy = create(name, **options)
    planned(strategy, Context(1, model, TrainConfig()), clients)
    strategy.begin(model)
    for client, row, count in zip(clients, rows, samples or [1] * len(rows), strict=True):
        strategy.fold(Update(client, count, row, {"loss_before": 1.0}))
    return conclude(strategy, model).weights


def krum_by_hand(rows: Vector, liars: int) -> list[int]:
    """Clients by their score, which is computed by two loops."""
    scores = []
    for i in range(len(rows)):
        others = sorted(float(((rows[i] - rows[j]) ** 2).sum()) for j in range(len(rows)) if j != i)
        scores.append(sum(others[: len(rows) - liars - 2]))
    return [int(i) for i in np.argsort(scores, kind="stable")]


class TestThePapers:
    """Each beside a few lines of numpy, in float64."""

    rng = np.random.default_rng(3)
    rows = rng.normal(size=(9, 40)).astype(np.float32)
    samples = rng.integers(1, 50, 9).tolist()
    exact = rows.astype(np.float64)

    @pytest.mark.parametrize("count", [1, 2, 5, 8, 9])
    def test_median(self, count: int) -> None:
        np.testing.assert_allclose(result("median", self.rows[:count]), np.median(self.exact[:count], axis=0), rtol=1e-6)

    @pytest.mark.parametrize(("count", "share", "out"), [(1, 0.4, 0), (5, 0.2, 1), (9, 0.34, 3), (9, 0.0, 0), (9, 0.499, 4), (4, 0.3, 1)])
    def test_trimmed_mean(self, count: int, share: float, out: int) -> None:
        middle = np.sort(self.exact[:count], axis=0)[out : count - out].mean(axis=0)
        np.testing.assert_allclose(result("trimmedmean", self.rows[:count], share=share), middle, atol=1e-6)

    def test_a_share_that_a_product_would_round_down_is_meant(self) -> None:
        assert int(0.29 * 100) == 28
        assert create("trimmedmean", share=0.29).blends(100) == 42

    @pytest.mark.parametrize("liars", [0, 1, 3])
    def test_krum(self, liars: int) -> None:
        best = krum_by_hand(self.exact, liars)[0]
        np.testing.assert_array_equal(result("krum", self.rows, liars=liars), self.rows[best])

    @pytest.mark.parametrize(("chosen", "count"), [(0, 7), (3, 3), (1, 1), (20, 9)])
    def test_multi_krum(self, chosen: int, count: int) -> None:
        best = krum_by_hand(self.exact, 2)[:count]
        np.testing.assert_allclose(result("multikrum", self.rows, liars=2, chosen=chosen), self.exact[best].mean(axis=0), atol=1e-6)

    def test_krum_sees_small_differences_far_from_where_the_round_began(self) -> None:
        near = 1 + 1e-4 * self.exact
        moved = near.astype(np.float32)
        assert result("krum", moved, liars=2).tolist() == moved[krum_by_hand(moved.astype(np.float64), 2)[0]].tolist()

    @pytest.mark.parametrize("iterations", [1, 3, 50])
    def test_rfa(self, iterations: int) -> None:
        counts = np.array(self.samples, np.float64)
        v = np.average(self.exact, axis=0, weights=counts)
        for _ in range(iterations):
            b = counts / np.maximum(1e-6, np.linalg.norm(self.exact - v, axis=1))
            v = np.average(self.exact, axis=0, weights=b)
        np.testing.assert_allclose(result("rfa", self.rows, self.samples, iterations=iterations), v, atol=1e-6)

    def test_rfa_comes_to_where_the_sum_of_distances_is_least(self) -> None:
        found = result("rfa", self.rows, self.samples, iterations=300).astype(np.float64)
        pulls = self.exact - found
        pull = np.average(pulls / np.linalg.norm(pulls, axis=1)[:, None], axis=0, weights=self.samples)
        assert np.linalg.norm(pull) < 1e-5, "there all clients' pulls, each as strong as its samples, cancel"

    def test_norm_bound(self) -> None:
        model = self.rng.normal(size=40).astype(np.float32)
        changes = self.exact - model
        lengths = np.linalg.norm(changes, axis=1)
        bound = float(np.median(lengths))
        bounded = model + changes / np.maximum(1, lengths / bound)[:, None]
        found = result("normbound", self.rows, self.samples, model, bound=bound)
        np.testing.assert_allclose(found, np.average(bounded, axis=0, weights=self.samples), atol=1e-6)
        around = result("normbound+median", self.rows, self.samples, model, bound=bound)
        np.testing.assert_allclose(around, np.median(bounded, axis=0), atol=1e-6)


honest = st.lists(st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4), min_size=5, max_size=9)
lies = st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4)
FAR = 1e6


class TestLiars:
    """What each promises while no more lie than it is made for, and that this is the end of it."""

    @given(rows=honest, lie=lies, data=st.data())
    @settings(max_examples=examples(60), deadline=None)
    @pytest.mark.parametrize("name", ["median", "trimmedmean"])
    def test_each_parameter_stays_between_honest_ones(self, name: str, rows: list[list[float]], lie: list[float], data: Any) -> None:
        liars = data.draw(st.integers(0, len(rows) - 1))
        count = len(rows) + liars
        options = {"share": min(0.499, (liars + 0.1) / count)} if name == "trimmedmean" else {}
        found = result(name, [*rows, *[lie] * liars], **options)
        assert (found >= np.min(rows, axis=0) - 1e-5).all()
        assert (found <= np.max(rows, axis=0) + 1e-5).all()

    @pytest.mark.parametrize(("name", "options", "stands", "falls"), [("median", {}, 6, 8), ("trimmedmean", {"share": 0.4}, 4, 6)])
    def test_and_no_longer_past_them(self, name: str, options: dict[str, Any], stands: int, falls: int) -> None:
        rows, lie = np.zeros((7, 4)), [FAR] * 4
        assert result(name, [*rows, *[lie] * stands], **options).max() == 0
        assert result(name, [*rows, *[lie] * falls], **options).min() > FAR / 20

    @given(rows=st.lists(st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4), min_size=7, max_size=9), data=st.data())
    @settings(max_examples=examples(60), deadline=None)
    @pytest.mark.parametrize("name", ["krum", "multikrum"])
    def test_what_krum_chooses_lies_near_an_honest_one(self, name: str, rows: list[list[float]], data: Any) -> None:
        liars = (len(rows) - 3) // 2  # of which each may send something else
        sent = [data.draw(lies) for _ in range(liars)]
        honest_rows = np.array(rows[: len(rows) - liars], np.float32).astype(np.float64)
        count = len(rows)
        wide = max(float(((a - b) ** 2).sum()) for a, b in itertools.product(honest_rows, repeat=2))
        found = result("krum", [*honest_rows, *sent], liars=liars)
        nearest = float(((honest_rows - found) ** 2).sum(1).min())
        # An honest score is at most that of n - f - 2 honest others; who has a smaller one has an honest client among its nearest.
        assert nearest <= (count - liars - 2) * wide * (1 + 1e-4) + 1e-4
        if name == "multikrum":
            assert np.isfinite(result(name, [*honest_rows, *sent], liars=liars, chosen=1)).all()

    @pytest.mark.parametrize("name", ["krum", "multikrum"])
    def test_and_no_longer_if_so_many_collude_that_they_are_each_others_nearest(self, name: str) -> None:
        rows = np.random.default_rng(1).normal(size=(7, 4))
        options: dict[str, Any] = {"liars": 2} | ({"chosen": 1} if name == "multikrum" else {})
        assert np.abs(result(name, [*rows[:5], *[[FAR] * 4] * 2], **options)).max() < 10
        assert result(name, [*rows[:3], *[[FAR] * 4] * 4], **options).min() == FAR

    @given(rows=honest, data=st.data())
    @settings(max_examples=examples(60), deadline=None)
    def test_the_geometric_median_is_drawn_no_further_than_the_share_of_samples_allows(self, rows: list[list[float]], data: Any) -> None:
        true, far = [10] * len(rows), data.draw(st.integers(0, 9 * len(rows)))
        centre = np.mean(rows, axis=0)
        lie = centre + data.draw(st.sampled_from([1e2, 1e4])) * np.array([1, -1, 1, 1])
        found = result("rfa", [*rows, lie] if far else rows, [*true, far] if far else true, iterations=1000)
        theta = far / (far + sum(true))
        reach = float(np.linalg.norm(np.array(rows) - centre, axis=1).max())
        assert np.linalg.norm(found - centre) <= 2 * (1 - theta) / (1 - 2 * theta) * reach + 1e-2  # Pillutla et al. 2022, section 3

    def test_and_is_where_they_want_it_once_half_of_the_samples_lie(self) -> None:
        rows = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
        assert np.abs(result("rfa", [*rows, [FAR, FAR]], [10, 10, 10, 25], iterations=1000)).max() < 10
        assert result("rfa", [*rows, [FAR, FAR]], [10, 10, 10, 40], iterations=1000).min() > FAR / 2

    @given(rows=honest, lie=lies, bound=st.floats(0.01, 5), liars=st.integers(1, 6))
    @settings(max_examples=examples(60), deadline=None)
    def test_liars_move_a_bounded_mean_by_their_share_of_the_bound(
        self, rows: list[list[float]], lie: list[float], bound: float, liars: int
    ) -> None:
        count = len(rows) + liars
        silent = result("normbound", [*rows, *np.zeros((liars, 4))], bound=bound)
        found = result("normbound", [*rows, *[lie] * liars], bound=bound)
        assert np.linalg.norm(found - silent) <= liars / count * bound * (1 + 1e-4) + 1e-6

    def test_and_turn_it_round_once_they_are_more_than_the_honest(self) -> None:
        rows = [[1.0, 0.0]] * 5
        assert result("normbound", [*rows, *[[-5.0, 0.0]] * 4], bound=1)[0] > 0
        assert result("normbound", [*rows, *[[-5.0, 0.0]] * 6], bound=1)[0] < 0
        assert result("fedavg", [*rows, *[[-5.0, 0.0]] * 4])[0] < 0, "without it fewer are enough"


class TestCohorts:
    """A cohort that does not fit is named before anybody is asked."""

    @pytest.mark.parametrize("name", ["krum", "multikrum", "normbound+krum"])
    def test_krum_takes_twice_its_liars_and_three(self, name: str, tmp_path: Path) -> None:
        clients = list("abcdef")
        with pytest.raises(BrambleError, match=r"makes nothing of fewer than 7 clients, and 6 would be asked"):
            planned(create(name, liars=2), Context(1, np.zeros(3, np.float32), TrainConfig()), clients)
        office = Office(tmp_path, strategy=name, strategy_option={"liars": 2}, min_clients=7)
        try:
            office.join(*"abcdefg")
            assert office.committed(*"abcdefg") == 1
        finally:
            office.close()

    @pytest.mark.parametrize(("limit", "fits"), [("max", True), ("700000", True), ("680000", False)])
    def test_a_round_that_does_not_fit_into_memory_is_named_with_what_it_takes(
        self, limit: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unit = tmp_path / "groups" / "system.slice" / "bramble-server.service"
        unit.mkdir(parents=True)
        (unit / "memory.max").write_text(limit + "\n")
        (unit / "memory.current").write_text("150000\n")
        (unit / "memory.stat").write_text("anon 50000\ninactive_file 60000\nactive_file 40000\n")
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "cgroup").write_text("0::/system.slice/bramble-server.service\n")
        (tmp_path / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:     8000000 kB\n")
        monkeypatch.setattr(headroom, "PROC", tmp_path)
        monkeypatch.setattr(headroom, "GROUPS", tmp_path / "groups")
        headroom.check(create("fedavg"), 10**6, 10_000)
        if fits:  # 80 kB of models and 560 kB of a table; the files that a unit read are no memory that it lacks
            headroom.check(create("median"), 2, 10_000)
            if limit == "700000":
                with pytest.raises(BrambleError, match=r"takes 0.7 MB"):
                    headroom.check(create("median"), 2, 10_000, beside=1)  # the champion's 40 kB
            return
        with pytest.raises(BrambleError, match=r"Median: a round of 2 clients and .* 10000 parameters takes 0.6 MB, and 0.6 MB of memory"):
            headroom.check(create("median"), 2, 10_000)

    def test_nobody_is_asked_then(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        office = Office(tmp_path, strategy="median")
        try:
            office.join("a", "b")
            monkeypatch.setattr(headroom, "_machine", lambda: 100)
            with pytest.raises(BrambleError, match="give the server more, or it a strategy that streams"):
                office.coordinator.start_round()
            assert (office.coordinator.view.tasks["small"].running, office.transport.said) == (None, [])
        finally:
            office.close()

    def test_too_few_that_answered_are_no_model_and_the_round_says_so(self, tmp_path: Path) -> None:
        office = Office(tmp_path, strategy="krum", strategy_option={"liars": 0}, min_clients=3)
        try:
            office.join("a", "b", "c")
            number = office.coordinator.start_round().round
            office.refuse("a", number)
            for client in ("b", "c"):
                office.deliver(client, number)
            record = office.record(number)
            assert (record["state"], record["reason"]) == ("abandoned", "2 updates came, and Krum makes nothing of fewer than 3")
        finally:
            office.close()

    def test_a_liar_whom_the_judge_left_out_is_one_of_those_that_it_was_set_for(self, tmp_path: Path) -> None:
        office = Office(tmp_path, strategy="krum", strategy_option={"liars": 1}, min_clients=5)
        try:
            office.join(*"abcde")
            number = office.coordinator.start_round().round
            for client in "abcd":
                office.deliver(client, number)
            office.deliver("e", number, 1e4)
            assert "left out" in office.record(number)["clients"]["e"]["reason"]
            assert office.stored() == (number, [1.0] * LAYOUT.size)
        finally:
            office.close()

    def test_it_refuses_to_be_asked_past_that(self) -> None:
        strategy = create("krum", liars=0)
        strategy.begin(np.zeros(3, np.float32))
        strategy.fold(Update("a", 1, np.ones(3, np.float32)))
        with pytest.raises(AggregateError, match="1 updates count, too few to tell 0 liars among them"):
            strategy.finish()


class TestNormBound:
    def test_it_stands_around_any_other_with_the_parameters_of_both(self) -> None:
        choice = named("normbound+fedadam", {"bound": "2", "learning_rate": 0.5})
        assert (choice.name, choice.set["bound"], choice.set["learning_rate"]) == ("normbound+fedadam", 2.0, 0.5)
        assert named("normbound+fednova", {}).needs == ("sections", "steps")

    @pytest.mark.parametrize(
        ("name", "options", "sentence"),
        [
            ("normbound+fedadan", {}, "'fedadan' is not one of .* did you mean 'fedadam'"),
            ("normbund", {}, "did you mean 'normbound'"),
            ("normbound+", {}, "'' is not one of"),
            ("normbound+normbound", {}, "a parameter bound of its own"),
            ("normbound+scaffold", {}, "clients keep a control"),
            ("normbound+fedadam", {"bond": 1}, r"normbound\+fedadam has no parameter 'bond', did you mean 'bound' \(a number, above 0"),
            ("normbound", {"bound": 0}, "above 0 and at most 1e\\+06, got '0'"),
        ],
    )
    def test_what_it_cannot_stand_around_and_what_is_misspelt(self, name: str, options: dict[str, Any], sentence: str) -> None:
        with pytest.raises(BrambleError, match=sentence):
            assert named(name, options).needs
