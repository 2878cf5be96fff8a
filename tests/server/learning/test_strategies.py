"""Strategies: the contract that each keeps, and what is its own."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.learn import builtin
from bramble_protocol.errors import BrambleError
from bramble_protocol.features import FEATURES
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Extras, Handshake, TrainConfig
from bramble_server.fleet.plausibility import Needs
from bramble_server.fleet.registry import Registry
from bramble_server.learning.aggregate import AggregateError
from bramble_server.learning.strategies import (
    STRATEGIES,
    Aggregate,
    Context,
    Plan,
    State,
    Strategy,
    Update,
    conclude,
    create,
    named,
    planned,
)
from bramble_server.learning.strategies.fedavg import FedAvg

OLD = np.array([0.0, 1.0, -1.0], np.float32)
METRICS = {"loss_before": 1.0, "loss_after": 0.5}
CONFIG = TrainConfig(epochs=2, deadline_s=30.0)
Make = Callable[[], Strategy]


def update(weights: Any, samples: int = 3, client: str = "", **other: Any) -> Update:
    return Update(client, samples, np.asarray(weights, np.float32), METRICS, **other)


def round_of(strategy: Strategy, model: Weights, *updates: Update) -> Aggregate:
    """Play one round as the server does, with clients that answer what they are asked; those without a name get one each.

    Where they are too few for the strategy, each comes from as many clients as it takes.
    """
    updates *= -(-strategy.least // len(updates))
    updates = tuple(replace(each, client=f"{each.client or 'pi'}-{i:02}") for i, each in enumerate(updates))
    plan = planned(strategy, Context(1, model, CONFIG), [each.client for each in updates])
    strategy.begin(model)
    for each in updates:
        strategy.fold(answered(each, plan[each.client], model))
    return conclude(strategy, model)


def answered(update: Update, plan: Plan, model: Weights) -> Update:
    """An update with what was asked for beside the weights."""
    steps, control, sections = (4 if plan.extras.steps else None), plan.extras.control, update.sections
    if control and not sections:
        delta = (control.rate or 1 / (4 * CONFIG.learning_rate)) * (model - update.weights) - (
            0 if control.common is None else control.common
        )
        sections = {"control_delta": delta.astype(np.float32)}
    return replace(update, steps=steps, since=control.since if control else None, sections=sections)


def kept(state: State) -> dict[str, Any]:
    """What comes back of a state from the store: arrays that cannot be written to."""
    return {name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape) for name, array in state.items()}


def following(make: Make, aggregate: Aggregate, *updates: Update) -> Aggregate:
    """Play the round after one."""
    strategy = make()
    if aggregate.state:
        strategy.restore(kept(aggregate.state))
    return round_of(strategy, aggregate.weights, *updates)


def filled(weights: Weights, start: int, part: Weights) -> None:
    """Read an update as if it had been put aside."""
    part[:] = weights[start : start + len(part)]


def example(page: list[str]) -> type[Strategy]:
    namespace: dict[str, Any] = {}
    exec(compile(page[0], "fedfade.py", "exec"), namespace)
    found: type[Strategy] = namespace["FedFade"]
    return found


def blocks() -> list[str]:
    page = Path(__file__).parents[3] / "docs" / "add-a-strategy.md"
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


EVERY: Mapping[str, Callable[[], Make]] = {
    **{name: partial(STRATEGIES.__getitem__, name) for name in STRATEGIES},
    "dp": lambda: partial(create, "dp", noise_multiplier=1e-30, clip=1e6),  # what it is but for noise; that: privacy/test_dp.py
    "the example on the page": lambda: example(blocks()),
}


@pytest.fixture(params=EVERY)
def make(request: pytest.FixtureRequest) -> Make:
    return EVERY[request.param]()


class TestEveryStrategy:
    """The contract, run over every strategy in the registry and the one that the page on adding them has."""

    def test_updates_that_equal_the_model_leave_it_as_it_is(self, make: Make) -> None:
        aggregate = round_of(make(), OLD, *(update(OLD, samples) for samples in (1, 7, 300)))
        np.testing.assert_allclose(aggregate.weights, OLD, atol=1e-6)

    def test_gives_float32_of_the_models_shape(self, make: Make) -> None:
        weights = round_of(make(), OLD, update(OLD + 1)).weights
        assert (weights.dtype, weights.shape) == (np.float32, OLD.shape)

    def test_a_round_without_updates_has_no_result(self, make: Make) -> None:
        strategy = make()
        strategy.begin(OLD)
        with pytest.raises(AggregateError):
            conclude(strategy, OLD)

    def test_keeps_what_it_gave_out_apart_from_what_comes_next(self, make: Make) -> None:
        first = round_of(make(), OLD, update(OLD + 1))
        copies = first.weights.copy(), {name: array.copy() for name, array in first.state.items()}
        following(make, first, update(first.weights + 1))
        np.testing.assert_array_equal(first.weights, copies[0])
        for name, array in first.state.items():
            np.testing.assert_array_equal(array, copies[1][name])

    def test_writes_to_nothing_that_it_was_lent(self, make: Make) -> None:
        model, moved = OLD.copy(), OLD + 1
        model.flags.writeable = moved.flags.writeable = False
        following(make, round_of(make(), model, update(moved)), update(moved))

    def test_what_it_remembers_is_all_that_the_next_round_needs(self, make: Make) -> None:
        rng = np.random.default_rng(0)
        first = round_of(make(), OLD, update(OLD + rng.normal(size=3)), update(OLD + rng.normal(size=3), 7))
        second = following(make, first, update(rng.normal(size=3)))
        again = following(make, first, update(rng.normal(size=3)))  # whatever became of the round before
        back = following(make, second, update([1, 2, 3]))
        assert set(second.state) == set(again.state) == set(first.state) == set(back.state)
        same = following(make, second, update([1, 2, 3]))
        np.testing.assert_array_equal(back.weights, same.weights)

    def test_the_order_in_which_clients_are_folded_is_rounding_at_most(self, make: Make) -> None:
        updates = [update(OLD + step, samples, f"pi-{step}") for step, samples in ((1, 3), (2, 30), (-4, 5))]
        one, other = round_of(make(), OLD, *updates), round_of(make(), OLD, *updates[::-1])
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-5, atol=1e-6)

    def test_one_that_says_it_is_linear_needs_the_sum_alone(self, make: Make) -> None:
        if not make().linear:
            return
        updates = [update(OLD + step, samples) for step, samples in ((1, 3), (2, 30), (-4, 5))]
        total = sum(each.samples for each in updates)
        mean = sum(each.weights * each.samples for each in updates) / total
        np.testing.assert_allclose(
            round_of(make(), OLD, *updates).weights, round_of(make(), OLD, update(mean, total)).weights, rtol=1e-5, atol=1e-6
        )

    def test_it_holds_no_more_memory_than_it_says(self, make: Make) -> None:
        size, clients = 1_000_000, 6
        model, moved = np.zeros(size, np.float32), np.ones(size, np.float32)
        first = round_of(make(), model, update(moved))
        beside = {"control_delta": -first.state["controls"] / np.float32(clients)} if "control" in make().needs else {}
        tracemalloc.start()
        following(make, first, *(update(moved, sections=beside, aside=partial(filled, moved)) for _ in range(clients)))
        peak = tracemalloc.get_traced_memory()[1] / model.nbytes
        tracemalloc.stop()
        assert peak < make().memory(clients, size) / model.nbytes + 0.5

    def test_every_client_has_its_part_in_the_plan(self, make: Make) -> None:
        clients = [f"pi-{i}" for i in range(make().least + 1)]
        plan = planned(make(), Context(7, OLD, CONFIG), clients)
        assert list(plan) == clients
        assert all(each.config.deadline_s == 30.0 for each in plan.values())

    def test_its_docstring_begins_with_a_line_for_people(self, make: Make) -> None:
        assert (make().__doc__ or "").splitlines()[0].endswith((".", ":"))


def test_fedavg_counts_every_client_by_its_samples() -> None:
    aggregate = round_of(create("fedavg"), OLD, update([1, 2, 3], 10), update([5, 6, 7], 30))
    np.testing.assert_array_equal(aggregate.weights, np.array([4, 5, 6], np.float32))
    assert aggregate.state == {}
    assert planned(create("fedavg"), Context(1, OLD, CONFIG), ["a"]) == {"a": Plan(CONFIG)}


def test_fedprox_averages_as_fedavg_does_and_tells_every_client_its_mu() -> None:
    strategy = create("fedprox", mu=0.25)
    assert planned(strategy, Context(1, OLD, CONFIG), ["a", "b"]) == dict.fromkeys("ab", Plan(replace(CONFIG, proximal_mu=0.25)))
    aggregate = round_of(strategy, OLD, update([1, 2, 3], 10), update([5, 6, 7], 30))
    np.testing.assert_array_equal(aggregate.weights, np.array([4, 5, 6], np.float32))


class TestFedAvgM:
    def test_it_does_what_the_paper_says(self) -> None:
        """``v <- beta v + delta``, ``w <- w + eta v`` in float64, beside it."""

        def make() -> Strategy:
            return create("fedavgm", momentum=0.6, learning_rate=0.5)

        rng = np.random.default_rng(1)
        w, v, aggregate = OLD.astype(np.float64), np.zeros(3), Aggregate(OLD, {})
        for _ in range(5):
            samples = rng.integers(1, 50, 4)
            updates = rng.normal(size=(4, 3)).astype(np.float32)
            v = 0.6 * v + np.average(updates, axis=0, weights=samples) - w
            w = w + 0.5 * v
            aggregate = following(make, aggregate, *(update(*each) for each in zip(updates, samples.tolist(), strict=True)))
            np.testing.assert_allclose(aggregate.weights, w, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(aggregate.state["velocity"], v, rtol=1e-5, atol=1e-6)

    def test_without_momentum_it_is_fedavg(self) -> None:
        aggregate = Aggregate(OLD, {})
        for target in ([1, 2, 3], [-4, 0, 9]):
            aggregate = following(lambda: create("fedavgm", momentum=0), aggregate, update(target))
            np.testing.assert_allclose(aggregate.weights, target, atol=1e-6)


class Odd(FedAvg):
    """Whose parts a test makes wrong."""

    result: Any = OLD
    remembered: Any = None
    configs: Any = None

    def plan(self, context: Context, clients: Any) -> Any:
        return self.configs

    def finish(self) -> Any:
        return self.result

    def state(self) -> Any:
        return self.remembered


@pytest.mark.parametrize(
    ("result", "remembered", "sentence"),
    [
        (OLD.astype(np.float64), {}, "Odd: what it made is no model of 3 numbers in float32"),
        (OLD[:2], {}, "no model of 3 numbers"),
        (None, {}, "no model of 3 numbers"),
        (np.array([0, np.inf, 0], np.float32), {}, "value 1 of the new model is not finite"),
        (OLD, {"velocity": np.array([np.nan])}, "Odd: velocity of its state is not finite"),
        (OLD, {"velocity": "fast"}, "Odd: 'velocity' of its state is no array of numbers"),
        (OLD, {"v" * 64: OLD}, "63 characters"),
        (OLD, {7: OLD}, "Odd: 7 of its state is no array"),
    ],
)
def test_a_result_that_no_model_can_be_made_of_is_refused(result: Any, remembered: Any, sentence: str) -> None:
    strategy = Odd()
    strategy.result, strategy.remembered = result, remembered
    with pytest.raises(AggregateError, match=re.escape(sentence)):
        conclude(strategy, OLD)


@pytest.mark.parametrize(
    ("configs", "sentence"),
    [
        ({}, "Odd: its plan for the round leaves out a"),
        ({"a": CONFIG}, "leaves out b"),
        ({"a": CONFIG, "b": CONFIG, "zoe": CONFIG}, "Odd: its plan for the round names a stranger, zoe"),
        ({"a": CONFIG, "b": replace(CONFIG, epochs=0)}, "config.epochs"),
        ({"a": CONFIG, "b": replace(CONFIG, learning_rate=float("nan"))}, "config.learning_rate"),
    ],
)
def test_a_plan_that_no_client_could_follow_is_refused(configs: Any, sentence: str) -> None:
    strategy = Odd()
    strategy.configs = configs
    with pytest.raises(BrambleError, match=sentence):
        planned(strategy, Context(1, OLD, CONFIG), ["a", "b"])


def test_the_line_for_the_registry_on_the_page_adds_it() -> None:
    kind, registry = example(blocks()), dict(STRATEGIES)
    exec(blocks()[1], {"STRATEGIES": registry, "FedFade": kind})
    assert registry == {**STRATEGIES, "fedfade": kind}


def test_the_example_on_the_page_goes_a_part_of_the_way() -> None:
    kind = example(blocks())
    w, aggregate = OLD.astype(np.float64), Aggregate(OLD, {})
    for t, target in enumerate(([1, 2, 3], [-4, 0, 9], [0, 0, 0]), 1):
        w = w + (np.array(target) - w) / t**0.6
        aggregate = following(kind, aggregate, update(target))
        np.testing.assert_allclose(aggregate.weights, w, rtol=1e-5, atol=1e-6)


class Asking(FedAvg):
    """Whose extras a test makes."""

    asked: Any = None

    @property
    def needs(self) -> tuple[str, ...]:
        return ("correction",)

    def extras(self, context: Context, clients: Any) -> Any:
        return self.asked


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"zoe": Extras()}, "names a stranger, zoe"),
        ({"a": Extras(steps=True)}, "Asking: it asks clients for steps, which is not among what it needs"),
        ({"a": Extras(correction=OLD[:2])}, "Asking: its correction is no vector of 3 numbers in float32"),
        ({"a": Extras(correction=OLD.astype(np.float64))}, "Asking: its correction is no vector of 3"),
    ],
)
def test_what_no_client_could_be_asked_is_refused(asked: Any, sentence: str) -> None:
    strategy = Asking()
    strategy.asked = asked
    with pytest.raises(BrambleError, match=sentence):
        planned(strategy, Context(1, OLD, CONFIG), ["a", "b"])


def test_a_client_may_be_given_a_vector_of_its_own() -> None:
    strategy = Asking()
    strategy.asked = {"a": Extras(correction=OLD), "b": Extras(correction=2 * OLD)}
    plan = planned(strategy, Context(1, OLD, CONFIG), ["a", "b", "c"])
    given = [plan[name].extras.correction for name in "abc"]
    assert given[2] is None
    for vector, factor in zip(given[:2], (1, 2), strict=True):
        assert vector is not None
        np.testing.assert_array_equal(vector, factor * OLD)


def test_what_a_strategy_needs_decides_who_is_asked_and_which_graph_will_do() -> None:
    choice = named("scaffold", {})
    registry = Registry({"some": Needs(features=choice.needs)})
    registry.join(Handshake(2, "new", features=FEATURES), "1", "127.0.0.1")
    registry.join(Handshake(1, "old"), "2", "127.0.0.1")
    assert registry.able("some") == ["new"]
    (remark,) = registry.to_json([])["old"]["remarks"]
    assert remark == "does not know control, sections, steps, which rounds of this task need, so it is not asked for them; upgrade it"
    assert named("fedadam", {}).needs == ()
    manifest = builtin.weather_graph().manifest
    choice.check(manifest)
    assert manifest.former
    with pytest.raises(BrambleError, match=r"strategy: scaffold changes a client's single steps, .* format 1; export it again"):
        choice.check(manifest.former)
    named("fednova", {}).check(manifest.former)
