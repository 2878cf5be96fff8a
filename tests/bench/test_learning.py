"""The learning benchmark measures what it says: nothing held out is trained on, and both ways of training do as many steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import learning
from bench.learning import Fleet, Site, central, first_below, pool
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.windows import windows
from bramble_server import tasks

GRAPH = tasks.load("climate")


@pytest.fixture(scope="module")
def site() -> Site:
    return Site.load("miami", GRAPH)


def test_a_site_is_its_recording_hour_by_hour(site: Site) -> None:
    assert site.times.shape == (8760,)
    np.testing.assert_allclose(site.values[0], [22.2, 71, 1023])
    assert site.times[1] - site.times[0] == 3600


def test_no_held_out_reading_is_in_a_training_window(site: Site) -> None:
    known = site.until(site.cut)
    training = windows(*known.columns((), None), GRAPH.manifest)
    held_out = windows(site.times[site.cut :], site.values[site.cut :], GRAPH.manifest)
    assert len(held_out) == 876 - 1 - 26
    assert training.time.max() < site.times[site.cut]
    first_reading = held_out.time.min() - 26 * 3600
    assert first_reading == site.times[site.cut]


@pytest.mark.process
def test_a_round_moves_the_model_by_what_each_client_learned(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "SITES", ("a", "b"))
    sites = [Site("a", site.times[:300], site.values[:300]), Site("b", site.times[300:500], site.values[300:500])]
    fleet = Fleet(GRAPH, tmp_path)
    first = fleet.round(1, sites)
    assert [client["test_samples"] for client in first] == [273, 173]
    assert all(client["test_error"] == pytest.approx(client["test_baseline"], rel=1e-4) for client in first)
    model = fleet.model
    second = fleet.round(2, sites)
    assert all("test_samples" not in client for client in second)
    assert not np.array_equal(model, fleet.model)
    assert sum(client["loss_before"] for client in second) < sum(client["loss_before"] for client in first)


def test_training_in_one_place_does_exactly_so_many_steps(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(GRAPH.flatbuffer)
    seen = []

    def spy(signature: str, **inputs: np.ndarray) -> object:
        seen.append(inputs["idx"].shape)
        return runtime(signature, **inputs)

    data = [
        windows(site.times[:200], site.values[:200], GRAPH.manifest),
        windows(site.times[200:300], site.values[200:300], GRAPH.manifest),
    ]
    model = central(GRAPH, spy, data, 50)  # type: ignore[arg-type]
    assert seen == [(50, 32)]
    assert not np.array_equal(model, GRAPH.initial)


def test_means_are_pooled_by_the_number_of_windows() -> None:
    clients = [{"test_error": 1.0, "test_samples": 3.0}, {"test_error": 5.0, "test_samples": 1.0}]
    assert pool(clients, "test_error") == 2.0


@pytest.mark.parametrize(("errors", "first"), [([4, 1, 1], 2), ([4, 1, 5, 1], 4), ([1, 1], 1), ([4, 4], 3)])
def test_the_fleet_is_below_persistence_from_the_round_after_the_last_that_was_not(errors: list[float], first: int) -> None:
    rounds = [[{"test_error": error, "test_baseline": 4.0, "test_samples": 10.0}] for error in errors]
    assert first_below(rounds).measured == first
