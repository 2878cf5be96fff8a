from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bramble_protocol.errors import BrambleError
from bramble_server.learning.aggregate import AggregateError
from bramble_server.learning.strategies import STRATEGIES, Strategy, create

OLD = np.array([0.0, 1.0, -1.0], np.float32)
METRICS = {"loss_before": 1.0, "loss_after": 0.5}


@pytest.fixture(params=sorted(STRATEGIES))
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return create(request.param)


class TestEveryStrategy:
    """The contract, run over every strategy in the registry."""

    def test_updates_that_equal_the_model_leave_it_as_it_is(self, strategy: Strategy) -> None:
        strategy.begin(OLD)
        for samples in (1, 7, 300):
            strategy.fold(OLD, samples, METRICS)
        np.testing.assert_allclose(strategy.finish(), OLD, atol=1e-6)

    def test_gives_float32_of_the_models_shape(self, strategy: Strategy) -> None:
        strategy.begin(OLD)
        strategy.fold(OLD + 1, 3, METRICS)
        result = strategy.finish()
        assert result.dtype == np.float32
        assert result.shape == OLD.shape

    def test_forgets_a_round_that_was_abandoned(self, strategy: Strategy) -> None:
        strategy.begin(OLD)
        strategy.fold(OLD + 1000, 3, METRICS)
        strategy.begin(OLD)
        strategy.fold(OLD, 3, METRICS)
        np.testing.assert_allclose(strategy.finish(), OLD, atol=1e-6)

    def test_a_round_without_updates_has_no_result(self, strategy: Strategy) -> None:
        strategy.begin(OLD)
        with pytest.raises(AggregateError):
            strategy.finish()

    def test_keeps_what_it_gave_out_apart_from_what_comes_next(self, strategy: Strategy) -> None:
        strategy.begin(OLD)
        strategy.fold(OLD + 1, 3, METRICS)
        first = strategy.finish()
        copy = first.copy()
        strategy.begin(first)
        strategy.fold(first + 1, 3, METRICS)
        strategy.finish()
        np.testing.assert_array_equal(first, copy)

    def test_writes_to_no_update(self, strategy: Strategy) -> None:
        model, update = OLD.copy(), OLD + 1
        model.flags.writeable = update.flags.writeable = False
        strategy.begin(model)
        strategy.fold(update, 3, METRICS)
        strategy.finish()


def test_fedavg_counts_every_client_by_its_samples() -> None:
    strategy = create("fedavg")
    strategy.begin(OLD)
    strategy.fold(np.array([1, 2, 3], np.float32), 10, METRICS)
    strategy.fold(np.array([5, 6, 7], np.float32), 30, METRICS)
    np.testing.assert_array_equal(strategy.finish(), np.array([4, 5, 6], np.float32))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BrambleError, match=r"'fedsgd' is not one of .*fedavg"):
        create("fedsgd")


class TestThePageOnAddingOne:
    """Its example is code that somebody will copy, so it is run."""

    @pytest.fixture
    def blocks(self) -> list[str]:
        page = Path(__file__).parents[2] / "docs" / "add-a-strategy.md"
        return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)

    @pytest.fixture
    def example(self, blocks: list[str]) -> Strategy:
        namespace: dict[str, type[Strategy]] = {}
        exec(compile(blocks[0], "fedavgm.py", "exec"), namespace)
        return namespace["FedAvgM"]()

    def test_the_example_keeps_every_strategys_contract(self, blocks: list[str]) -> None:
        contract = TestEveryStrategy()
        checks = [name for name in dir(contract) if name.startswith("test_")]
        assert len(checks) == 6
        for name in checks:
            namespace: dict[str, type[Strategy]] = {}
            exec(compile(blocks[0], "fedavgm.py", "exec"), namespace)
            getattr(contract, name)(namespace["FedAvgM"]())

    def test_the_example_goes_on_where_the_last_round_went(self, example: Strategy) -> None:
        example.begin(OLD)
        example.fold(OLD + 1, 5, METRICS)
        first = example.finish()
        np.testing.assert_allclose(first, OLD + 1)
        example.begin(first)
        example.fold(first, 5, METRICS)
        np.testing.assert_allclose(example.finish(), OLD + 1.9)

    def test_the_line_for_the_registry_keeps_those_that_are_there(self, blocks: list[str], example: Strategy) -> None:
        namespace = {"Strategy": Strategy, **{kind.__name__: kind for kind in STRATEGIES.values()}, "FedAvgM": type(example)}
        exec(blocks[1], namespace)
        registry = namespace["STRATEGIES"]
        assert isinstance(registry, dict)
        assert registry == {**STRATEGIES, "fedavgm": type(example)}
