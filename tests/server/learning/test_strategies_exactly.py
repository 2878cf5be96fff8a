"""Where strategies lead on quadratics that differ, beside what can be computed by hand; and what must hold on any of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bramble_protocol.errors import BrambleError
from bramble_protocol.messages import Control, TrainConfig
from bramble_server.learning.strategies import STRATEGIES, Context, Strategy, Update, conclude, create, planned
from tests.examples import examples
from tests.server.learning.quadratics import CONFIG, RATE, Play, Quadratic, fleet, optimum

Vector = NDArray[np.float64]
CONTROLLED = ("scaffold", "feddyn")
ADAPTIVE = ("fedadagrad", "fedadam", "fedyogi")


def making(name: str, **options: Any) -> Callable[[], Strategy]:
    return lambda: create(name, **options)


def fixed_point(clients: Sequence[Quadratic], rate: float) -> Vector:
    """Where FedAvg stays: each client goes ``1 - (1 - rate h)^K`` of its way to its optimum, and its samples weigh that."""
    weights = np.array([client.samples * (1 - (1 - rate * client.curvature) ** client.steps) for client in clients])
    found: Vector = (weights * [client.optimum for client in clients]).sum(0) / weights.sum(0)
    return found


class TestUnequalSteps:
    """Clients that take different numbers of steps."""

    def test_fedavg_stays_at_the_biased_point_that_one_can_compute(self) -> None:
        clients = fleet()
        found = Play(making("fedavg")).rounds(200, clients)
        np.testing.assert_allclose(found, fixed_point(clients, RATE), atol=1e-5)
        assert np.abs(found - optimum(clients, by_samples=True)).max() > 0.1

    @pytest.mark.slow
    @pytest.mark.parametrize("momentum", [0.0, 0.8])
    def test_fednova_comes_to_the_optimum_as_near_as_the_rate_is_small(self, momentum: float) -> None:
        clients = fleet(steps=(2, 40, 11, 80))
        aim, off = optimum(clients, by_samples=True), []
        for rate in (8e-3, 4e-3, 2e-3):
            config = replace(CONFIG, learning_rate=rate)
            found = Play(making("fednova", momentum=momentum), config=config).rounds(round(4 / rate * (1 - momentum)), clients)
            off.append(float(np.abs(found - aim).max()))
        assert off[2] < 0.6 * off[1] < 0.4 * off[0], "it is the rate's alone"
        biased = np.abs(fixed_point(clients, 2e-3) - aim).max()
        assert off[2] < 0.2 * biased

    @pytest.mark.slow
    @pytest.mark.parametrize("name", CONTROLLED)
    @pytest.mark.parametrize("scale", [1.0, 100.0, 10_000.0])
    def test_scaffold_and_feddyn_reach_the_optimum_whatever_the_dissimilarity(self, name: str, scale: float) -> None:
        clients = fleet(scale, steps=(10, 10, 10, 10))
        found = Play(making(name)).rounds(600, clients)
        np.testing.assert_allclose(found / scale, optimum(clients, by_samples=False) / scale, atol=2e-5)

    @pytest.mark.slow
    def test_scaffold_does_so_with_unequal_steps_too(self) -> None:
        clients = fleet()
        np.testing.assert_allclose(Play(making("scaffold")).rounds(800, clients), optimum(clients, by_samples=False), atol=2e-5)


class TestControls:
    """What keeps the sum that a server has that of the controls which clients go on with."""

    @pytest.mark.parametrize("name", CONTROLLED)
    def test_it_is_their_sum_whoever_takes_part_and_whatever_is_abandoned_or_left_out(self, name: str) -> None:
        clients, play = fleet(), Play(making(name))
        rng = np.random.default_rng(2)
        for _ in range(40):
            cohort = [client for client in clients if rng.random() < 0.6] or clients[:1]
            left_out = cohort[0].name if rng.random() < 0.3 and len(cohort) > 1 else ""
            play.round(cohort, commits=bool(rng.random() < 0.7), left_out=left_out)
        state = play.aggregate.state
        since = dict(zip((f"pi-{i}" for i in range(4)), state["since"].tolist(), strict=True))
        total = sum(client.controls[since[client.name]] for client in clients)
        np.testing.assert_allclose(state["controls"], total, atol=1e-5)

    @pytest.mark.slow
    def test_scaffold_reaches_the_optimum_with_some_of_the_clients_a_round(self) -> None:
        clients, play = fleet(), Play(making("scaffold"))
        rng = np.random.default_rng(3)
        for _ in range(1500):
            play.round([clients[i] for i in rng.choice(4, 2, replace=False)])
        np.testing.assert_allclose(play.aggregate.weights, optimum(clients, by_samples=False), atol=1e-3)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", CONTROLLED)
    def test_a_client_that_lost_its_own_has_all_begin_anew_and_the_log_says_so(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        clients, play = fleet(steps=(8, 8, 8, 8)), Play(making(name))
        play.rounds(20, clients)
        clients[2].controls = {}
        play.round(clients)
        assert play.aggregate.state == {}
        assert caplog.messages == ["round 21: all controls begin anew, for pi-2 does not have its own any more"]
        found = play.rounds(600, clients)
        np.testing.assert_allclose(found, optimum(clients, by_samples=False), atol=2e-5)
        assert len(caplog.messages) == 1

    @pytest.mark.slow
    @pytest.mark.parametrize("name", CONTROLLED)
    def test_so_has_an_older_model_that_was_brought_back(self, name: str) -> None:
        clients, play = fleet(steps=(8, 8, 8, 8)), Play(making(name))
        play.rounds(10, clients)
        older = play.aggregate
        play.rounds(10, clients)
        play.aggregate = older
        play.round(clients)
        assert play.aggregate.state == {}
        np.testing.assert_allclose(play.rounds(600, clients), optimum(clients, by_samples=False), atol=2e-5)

    @pytest.mark.slow
    def test_so_has_one_that_is_gone_for_good(self, caplog: pytest.LogCaptureFixture) -> None:
        clients, play = fleet(), Play(making("scaffold", patience=7))
        play.rounds(20, clients)
        play.rounds(7, clients[1:])
        assert play.aggregate.state
        play.round(clients[1:])
        assert caplog.messages == ["round 28: all controls begin anew, for pi-0 missed more than 7 rounds"]
        found = play.rounds(800, clients[1:])
        np.testing.assert_allclose(found, optimum(clients[1:], by_samples=False), atol=2e-5)

    @pytest.mark.slow
    def test_who_joins_later_belongs_to_them(self) -> None:
        clients, play = fleet(), Play(making("scaffold"))
        play.rounds(30, clients[:3])
        np.testing.assert_allclose(play.rounds(800, clients), optimum(clients, by_samples=False), atol=2e-5)

    def test_clients_that_are_asked_alike_share_one_object(self) -> None:
        clients, play = fleet(), Play(making("scaffold"))
        play.rounds(2, clients)
        strategy = create("scaffold")
        strategy.restore(play.aggregate.state)
        plan = planned(strategy, Context(3, play.aggregate.weights, CONFIG), [client.name for client in clients])
        assert len({id(each.extras) for each in plan.values()}) == 1

    @pytest.mark.parametrize("name", CONTROLLED)
    def test_a_control_that_moves_further_than_the_weights_say_is_left_out(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        clients, play = fleet(), Play(making(name))
        play.rounds(3, clients)
        strategy, model = create(name), play.aggregate.weights
        strategy.restore(play.aggregate.state)
        plan = planned(strategy, Context(4, model, CONFIG), [client.name for client in clients])
        strategy.begin(model)
        honest = [client.train(4, model, plan[client.name])[0] for client in clients]
        lie = replace(honest[0], sections={"control_delta": 30 * honest[0].sections["control_delta"] + 5})
        with pytest.raises(BrambleError, match=r"its control moved by \d.*, where its weights account for \d"):
            strategy.fold(lie)
        for update in honest[1:]:
            strategy.fold(update)
        others = Play(making(name))
        others.aggregate, others.number = play.aggregate, 3
        others.round(clients[1:])
        np.testing.assert_array_equal(conclude(strategy, model).weights, others.aggregate.weights)

    @pytest.mark.parametrize("name", CONTROLLED)
    def test_one_that_was_shortened_is_believed(self, name: str) -> None:
        clients, play = fleet(), Play(making(name))
        strategy, model = create(name), play.aggregate.weights
        plan = planned(strategy, Context(1, model, CONFIG), ["pi-0"])
        strategy.begin(model)
        update = clients[0].train(1, model, plan["pi-0"])[0]
        strategy.fold(replace(update, weights=model + np.float32(0.16) * (update.weights - model)))

    def test_a_rate_of_zero_makes_none(self) -> None:
        with pytest.raises(BrambleError, match="learning_rate: at 0 there are no steps"):
            planned(create("scaffold"), Context(1, np.zeros(3, np.float32), TrainConfig(learning_rate=0)), ["a"])

    def test_an_answer_without_what_was_asked_is_left_out(self) -> None:
        for name in (*CONTROLLED, "fednova"):
            strategy = create(name)
            planned(strategy, Context(1, np.zeros(3, np.float32), CONFIG), ["a"])
            strategy.begin(np.zeros(3, np.float32))
            with pytest.raises(BrambleError, match="it does not say how"):
                strategy.fold(Update("a", 3, np.ones(3, np.float32)))


@pytest.fixture(autouse=True)
def warnings_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


class TestThePapers:
    """Each beside a few lines of numpy, in float64, for some rounds of differing clients."""

    def test_fednova(self) -> None:
        clients, play, w = fleet(), Play(making("fednova", momentum=0.6)), np.zeros(3)
        p = np.array([client.samples for client in clients]) / sum(client.samples for client in clients)
        a = np.array([sum((1 - 0.6 ** (client.steps - j)) / 0.4 for j in range(client.steps)) for client in clients])  # its section 3
        for _ in range(5):
            d = []
            for client, length in zip(clients, a, strict=True):
                y, v = w.copy(), np.zeros(3)
                for _ in range(client.steps):
                    v = 0.6 * v + client.curvature * (y - client.optimum)
                    y -= RATE * v
                d.append((w - y) / (RATE * length))
            w = w - (p @ a) * RATE * (p @ np.array(d))
            np.testing.assert_allclose(play.round(clients), w, atol=1e-5)

    def test_scaffold_with_clients_that_take_turns(self) -> None:
        clients, play, w, c = fleet(), Play(making("scaffold", learning_rate=0.7)), np.zeros(3), np.zeros(3)
        own = np.zeros((4, 3))
        play.round(clients, commits=True)  # so that all four are known
        w, c = one_of_scaffold(clients, [0, 1, 2, 3], w, c, own)
        for cohort in ([0, 1], [2, 3], [1, 3], [0, 2, 3]):
            w, c = one_of_scaffold(clients, cohort, w, c, own)
            np.testing.assert_allclose(play.round([clients[i] for i in cohort]), w, atol=1e-5)
            np.testing.assert_allclose(play.aggregate.state["controls"] / 4, c, atol=1e-5)

    def test_feddyn(self) -> None:
        clients, play, w, h, g = fleet(), Play(making("feddyn", alpha=0.3)), np.zeros(3), np.zeros(3), np.zeros((4, 3))
        for _ in range(5):
            ys = []
            for i, client in enumerate(clients):
                y = w.copy()
                for _ in range(client.steps):
                    y -= RATE * (client.curvature * (y - client.optimum) - g[i] + 0.3 * (y - w))
                g[i] -= 0.3 * (y - w)
                ys.append(y)
            h = h - 0.3 * (np.array(ys) - w).sum(0) / 4
            w = np.mean(ys, 0) - h / 0.3
            np.testing.assert_allclose(play.round(clients), w, atol=1e-5)

    @pytest.mark.parametrize("q", [0.0, 0.5, 1.0, 3.0])
    def test_qfedavg(self, q: float) -> None:
        clients, play, w, lipschitz = fleet(), Play(making("qfedavg", q=q)), np.zeros(3), 1 / RATE
        for _ in range(6):
            loss = np.array([client.curvature @ (w - client.optimum) ** 2 / 2 for client in clients])
            ends = np.array([client.optimum + (1 - RATE * client.curvature) ** client.steps * (w - client.optimum) for client in clients])
            steps = lipschitz * (w - ends)
            d = loss[:, None] ** q * steps
            h = q * loss ** (q - 1) * (steps**2).sum(1) + lipschitz * loss**q
            w = w - d.sum(0) / h.sum()
            np.testing.assert_allclose(play.round(clients), w, atol=1e-5)

    @pytest.mark.parametrize("name", ADAPTIVE)
    def test_the_adaptive_ones(self, name: str) -> None:
        eta, tau, b1, b2 = 0.2, 0.05, 0.7, 0.8
        options = {"learning_rate": eta, "tau": tau, "beta_1": b1} | ({} if name == "fedadagrad" else {"beta_2": b2})
        clients, play, w, m, v = fleet(), Play(making(name, **options)), np.zeros(3), np.zeros(3), np.full(3, tau**2)
        n = np.array([client.samples for client in clients])
        for _ in range(6):
            ends = np.array([client.optimum + (1 - RATE * client.curvature) ** client.steps * (w - client.optimum) for client in clients])
            d = np.average(ends, axis=0, weights=n) - w
            m = b1 * m + (1 - b1) * d
            v = {
                "fedadagrad": v + d**2,
                "fedadam": b2 * v + (1 - b2) * d**2,
                "fedyogi": v - (1 - b2) * d**2 * np.sign(v - d**2),
            }[name]
            w = w + eta * m / (np.sqrt(v) + tau)
            np.testing.assert_allclose(play.round(clients), w, atol=1e-5)


def one_of_scaffold(clients: Sequence[Quadratic], cohort: Sequence[int], w: Vector, c: Vector, own: Vector) -> tuple[Vector, Vector]:
    """Algorithm 1 with option II, server rate 0.7; ``own`` is changed."""
    dy, dc = [], []
    for i in cohort:
        y, client = w.copy(), clients[i]
        for _ in range(client.steps):
            y -= RATE * (client.curvature * (y - client.optimum) - own[i] + c)
        new = own[i] - c + (w - y) / (client.steps * RATE)
        dy.append(y - w)
        dc.append(new - own[i])
        own[i] = new
    return w + 0.7 * np.mean(dy, 0), c + len(cohort) / len(clients) * np.mean(dc, 0)


numbers = st.floats(-10, 10, width=32).map(lambda value: round(value, 3))
vectors = st.lists(numbers, min_size=3, max_size=3).map(lambda values: np.array(values, np.float64))


@st.composite
def fleets(draw: st.DrawFn) -> list[Quadratic]:
    curvature = st.lists(st.floats(0.1, 5), min_size=3, max_size=3).map(np.array)
    return [
        Quadratic(f"pi-{i}", draw(vectors), draw(curvature), draw(st.integers(1, 8)), draw(st.integers(1, 100)))
        for i in range(draw(st.integers(1, 5)))
    ]


FEW: dict[str, dict[str, Any]] = {
    "krum": {"liars": 0},
    "multikrum": {"liars": 0, "chosen": 2},
    "dp": {"noise_multiplier": 1e-30, "clip": 1e6},
}
"""Options with which a strategy makes do with few clients, or without noise."""


def any_of(name: str) -> Play:
    return Play(making(name, **FEW.get(name, {})))


def least(name: str) -> int:
    return create(name, **FEW.get(name, {})).least


@pytest.mark.parametrize("name", [*STRATEGIES, "normbound+fedadam", "normbound+median"])
class TestInvariants:
    """What holds of each strategy on any fleet, in rounds of which the first made it remember something."""

    @given(clients=fleets(), order=st.randoms(use_true_random=False))
    @settings(max_examples=examples(30), deadline=None)
    def test_the_order_of_arrival_is_rounding_at_most(self, name: str, clients: list[Quadratic], order: Any) -> None:
        assume(len(clients) >= least(name))
        one, other = any_of(name), any_of(name)
        mixed = [replace(client) for client in clients]
        for _ in range(3):
            one.round(clients)
            order.shuffle(mixed)
            other.round(mixed)
            np.testing.assert_allclose(one.aggregate.weights, other.aggregate.weights, rtol=1e-4, atol=1e-4)

    @given(clients=fleets(), factor=st.integers(2, 50))
    @settings(max_examples=examples(30), deadline=None)
    def test_more_samples_for_all_alike_change_nothing(self, name: str, clients: list[Quadratic], factor: int) -> None:
        assume(len(clients) >= least(name))
        one, other = any_of(name), any_of(name)
        more = [replace(client, samples=factor * client.samples) for client in clients]
        for _ in range(3):
            np.testing.assert_allclose(one.round(clients), other.round(more), rtol=1e-4, atol=1e-4)

    @given(count=st.integers(1, 5), at=vectors)
    @settings(max_examples=examples(30), deadline=None)
    def test_clients_that_are_at_their_optimum_stay_there(self, name: str, count: int, at: Vector) -> None:
        there = at.astype(np.float32).astype(np.float64)
        clients = [Quadratic(f"pi-{i}", there, np.ones(3), 1 + i) for i in range(count + least(name) - 1)]
        play = any_of(name)
        play.aggregate = replace(play.aggregate, weights=at.astype(np.float32))
        # what float32 rounds, an adaptive step makes a hundred times as large
        np.testing.assert_allclose(play.rounds(3, clients), at, rtol=1e-5, atol=2e-3 if name.endswith(ADAPTIVE) else 1e-5)

    @given(clients=fleets(), count=st.integers(2, 4))
    @settings(max_examples=examples(30), deadline=None)
    def test_identical_clients_are_as_one(self, name: str, clients: list[Quadratic], count: int) -> None:
        alone, many, few = any_of(name), any_of(name), least(name)
        same = [replace(clients[0], name=f"pi-{i}") for i in range(count + few - 1)]
        for _ in range(3):
            np.testing.assert_allclose(alone.round(same[:few]), many.round(same), rtol=1e-4, atol=1e-4)


def test_what_is_asked_of_each_client_by_its_last_answer_that_counted() -> None:
    clients, play = fleet(), Play(making("scaffold"))
    play.round(clients)
    play.round(clients[:2])
    strategy = create("scaffold")
    strategy.restore(play.aggregate.state)
    plan = planned(strategy, Context(3, play.aggregate.weights, CONFIG), ["new", *(client.name for client in clients)])
    asked = {name: each.extras.control for name, each in plan.items()}
    assert all(isinstance(control, Control) for control in asked.values())
    assert {name: control and control.since for name, control in asked.items()} == {"new": 0, "pi-0": 2, "pi-1": 2, "pi-2": 1, "pi-3": 1}
