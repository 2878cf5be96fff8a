"""A privacy budget on a server: spent with each model, never given back, and what is chosen or refused because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bramble_protocol.accountant import Release, epsilon
from bramble_protocol.errors import BrambleError
from bramble_protocol.messages import TrainConfig
from bramble_server import foundation
from bramble_server.learning.strategies import STRATEGIES, Context
from bramble_server.learning.strategies.dp import Dp
from bramble_server.settings import ServerSettings
from tests.server.office import Office
from tests.server.process import write_graph

NOISY: dict[str, Any] = {"strategy": "dp", "strategy_option": {"noise_multiplier": 5.0, "clip": 1e-3}, "epsilon": 2.0}
EACH = Release(5.0)


def spent(office: Office) -> float | None:
    return office.coordinator.view.tasks["small"].spent


def test_each_model_costs_and_a_round_beyond_the_budget_is_refused(tmp_path: Path) -> None:
    office = Office(tmp_path, **NOISY)
    office.join("a", "b")
    rounds = 0
    while epsilon({EACH: rounds + 1}, 1e-5) <= 2.0:
        assert spent(office) == pytest.approx(epsilon({EACH: rounds}, 1e-5))
        office.committed("a", "b")
        rounds += 1
    assert rounds > 1
    before = office.stored()
    with pytest.raises(BrambleError, match=rf"would bring task small to an epsilon of 2\.\d+, and its budget is 2 .* in {rounds} rounds"):
        office.coordinator.start_round()
    assert office.stored() == before
    assert office.coordinator.view.tasks["small"].running is None
    office.close()


def test_where_coins_say_who_is_asked_a_round_costs_less_and_goes_on_after_a_crash_as_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[float | None] = []

    class Noting(Dp):
        def plan(self, context: Context, clients: Sequence[str]) -> Mapping[str, TrainConfig]:
            expected.append(context.expected)
            return super().plan(context, clients)

    monkeypatch.setitem(STRATEGIES, "dp", Noting)
    fleet = [f"pi-{number:02}" for number in range(20)]
    coins = {**NOISY, "strategy_option": {"noise_multiplier": 5.0, "clip": 1e3}, "selection": "poisson", "clients_per_round": 0.8}
    office = Office(tmp_path, **coins)
    office.join(*fleet)
    number = office.coordinator.start_round().round
    asked = sorted(office.transport.asked)
    office.deliver(asked[0], number)
    office.die()
    office = Office(tmp_path, **coins)
    office.join(*fleet)
    for client in asked[1:]:
        office.deliver(client, number)
    assert office.record(number)["state"] == "committed"
    assert spent(office) == pytest.approx(epsilon({Release(5.0, 0.8): 1}, 1e-5))
    assert expected == [16.0, 16.0], "and not how many the coins asked"
    office.close()


def test_neither_a_restart_nor_a_reset_nor_a_rollback_gives_it_back(tmp_path: Path) -> None:
    office = Office(tmp_path, **NOISY)
    office.join("a", "b")
    first = office.committed("a", "b")
    office.committed("a", "b")
    two = spent(office)
    assert two == pytest.approx(epsilon({EACH: 2}, 1e-5))
    office.coordinator.rollback(first)
    assert spent(office) == two, "who has that model has it already"
    office.coordinator.reset()
    office.drain()
    assert office.stored() is None
    assert spent(office) == two
    office.die()
    office = Office(tmp_path, **NOISY)
    assert spent(office) == two
    office.close()
    other = Office(tmp_path, **{**NOISY, "strategy_option": {"noise_multiplier": 20.0}})
    other.join("a", "b")
    other.committed("a", "b")
    assert spent(other) == pytest.approx(epsilon({EACH: 2, Release(20.0): 1}, 1e-5)), "rounds of another noise add up with them"
    other.close()


def test_a_round_that_comes_to_nothing_costs_nothing(tmp_path: Path) -> None:
    office = Office(tmp_path, **{**NOISY, "min_clients": 2, "min_updates": 2})
    office.join("a", "b")
    number = office.coordinator.start_round().round
    office.deliver("a", number)
    office.refuse("b", number)
    assert office.record(number)["state"] == "abandoned"
    assert spent(office) == 0
    office.close()


def test_a_commit_that_the_disk_refuses_costs_nothing_for_nobody_has_the_model(tmp_path: Path) -> None:
    office = Office(tmp_path, **NOISY)
    office.join("a", "b")
    number = office.coordinator.start_round().round
    office.deliver("a", number)
    office.full()
    office.deliver("b", number)
    assert spent(office) == 0
    office.full(False)
    office.die()
    office = Office(tmp_path, **NOISY)
    assert spent(office) == 0
    office.close()


def test_clients_do_not_change_what_becomes_of_each_other(tmp_path: Path) -> None:
    """A judge would leave an update out that is a hundred times as long as the others', and shorten others by their median."""
    office = Office(tmp_path, **NOISY)
    office.join("a", "b", "c", "d")
    number = office.coordinator.start_round().round
    for client, value in (("a", 0.01), ("b", 0.01), ("c", 0.01), ("d", 9.0)):
        office.deliver(client, number, value)
    assert office.record(number)["state"] == "committed"
    assert not office.record(number)["reason"]
    office.close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"strategy": "dp"}, "strategy: dp adds noise to keep a budget; say with --epsilon which"),
        ({"epsilon": 8.0}, r"epsilon: fedavg adds no noise, so nothing would keep a budget; say --strategy dp, or dp\+fedavg"),
        ({**NOISY, "discipline": "asynchronous"}, "divides by the clients that a round asked"),
        ({**NOISY, "clients_per_round": 2, "selection": "loss"}, "by what they say of their losses"),
        ({**NOISY, "task": "activity"}, "covers the model alone, and in task activity clients are told of each other's counts"),
        ({"track": {"small": {"epsilon": 8.0}}}, "epsilon: fedavg adds no noise"),
    ],
)
def test_what_would_promise_what_it_does_not_keep_is_refused_at_the_start(settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    chosen = {"task": [str(write_graph(tmp_path))], "min_clients": 1, "data_dir": tmp_path, **settings}
    with pytest.raises(BrambleError, match=says):
        foundation.read(ServerSettings(**chosen))
