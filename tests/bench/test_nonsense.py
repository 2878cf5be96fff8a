"""The nonsense benchmark in small: the guards hold, and without them the same nonsense ends the fleet's learning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bench import nonsense
from bench.learning import SITES, Site
from bench.nonsense import FORMER, KINDS, Fleet, rounds_to, trial
from bramble_client.learn.runner import Runner
from bramble_protocol.graph import GraphFile
from bramble_server import tasks

GRAPH = tasks.load("climate")


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with closing(Runner()) as made:
        yield made


@pytest.fixture(scope="module")
def sites() -> list[Site]:
    return [Site.load(name, GRAPH) for name in SITES]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonsense, "ROUNDS", 4)
    monkeypatch.setattr(nonsense, "PER_ROUND", 250)


def test_nonsense_costs_the_others_next_to_nothing_even_where_its_client_believes_it(
    runner: Runner, sites: list[Site], tmp_path: Path
) -> None:
    kinds = {name: KINDS[name] for name in ("noise over 0.25 of each range", "Pa for hPa", "stuck")}
    for ratios in trial([Fleet(GRAPH, runner, tmp_path), Fleet(GRAPH, runner, tmp_path, trusting=True)], sites, 0, kinds):
        assert max(ratios.values()) <= 1.05, ratios


def test_without_the_guards_the_same_noise_ends_it(sites: list[Site], tmp_path: Path) -> None:
    kinds = {name: KINDS[name] for name in ("noise over 0.25 of each range",)}
    with closing(Runner()) as runner:
        fleet = Fleet(GraphFile.read(FORMER.read_bytes()), runner, tmp_path, judged=False, trusting=True)
        (ratios,) = trial([fleet], sites, 0, kinds)
    # so bad that training comes to nothing, or to something that forecasts worse than nothing
    assert all(not ratio <= 1.2 for ratio in ratios.values()), ratios


@pytest.mark.parametrize("odd", ["cellar", "greenhouse", "ten times the data"])
def test_a_client_that_is_only_different_counts_in_every_round(runner: Runner, sites: list[Site], tmp_path: Path, odd: str) -> None:
    fleet = Fleet(GRAPH, runner, tmp_path)
    values = sites[4].values.copy()
    hours = np.arange(len(values))
    if odd == "cellar":
        values[:, 0] = 12 + 0.02 * (values[:, 0] - 12)
    elif odd == "greenhouse":
        values[:, 0] = values[:, 0] + 12 * np.clip(np.sin((hours - 8) * 2 * np.pi / 24), 0, None)
    different = Site(odd, sites[4].times, values)
    lived = sites[:4] if odd != "ten times the data" else [Site(s.name, s.times[-1000:], s.values[-1000:]) for s in sites[:4]]
    _, out = fleet.learn([*lived, different], 4000 if odd != "ten times the data" else 0, 0)
    assert out == []


def test_rounds_to_an_error_are_counted_between_rounds_too() -> None:
    errors = np.array([4.0, 3.0, 1.0])
    assert [rounds_to(errors, wanted) for wanted in (5.0, 4.0, 3.5, 2.0, 1.0, 0.5)] == [1, 1, 1.5, 2.5, 3, np.inf]
