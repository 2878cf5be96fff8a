"""What a client keeps of a model for its own site, from run to run, on whichever runtime is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn import local_state
from bramble_client.learn.trainer import Result, Trainer, measure
from bramble_client.learn.windows import windows
from bramble_client.use import own
from bramble_client.use.drift import DAY
from bramble_client.use.own import Own, blend, persists
from bramble_client.use.standing import BASELINE, BLEND, GLOBAL, PERSONAL
from tests.runtimes.site import GRAPH, Site, update

SITE = Site(900)


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, lambda _: GRAPH.data, "pi-1")


def run(trainer: Trainer, hours: int, before: Result | None = None, site: Site = SITE) -> Result:
    until, noted = (before.tested_until, before.local_state) if before else (None, None)
    asked = replace(update(learning_rate=0.02), round=hours)
    return trainer.run(asked, site.until(hours), until, noted=noted)


def kept(result: Result) -> Own:
    return local_state.read(result.local_state, GRAPH.manifest, GRAPH.state).own


def test_the_personal_model_is_what_the_last_run_ended_with(trainer: Trainer) -> None:
    result = run(trainer, 300)
    assert np.array_equal(kept(result).personal, result.complete.weights)  # type: ignore[arg-type]
    assert kept(result).standing.scores.keys() == {BASELINE, GLOBAL}, "there was none when it was tested"


def test_all_are_scored_on_new_readings_and_the_best_is_gone_by(trainer: Trainer) -> None:
    first = run(trainer, 600)
    second = run(trainer, 900, first)
    standing = kept(second).standing
    assert standing.scores.keys() == {BASELINE, GLOBAL, PERSONAL, BLEND}
    assert standing.scores[PERSONAL].windows == pytest.approx(300, abs=1), "those that came since"
    assert standing.in_use == min(standing.scores, key=lambda name: standing.scores[name].ratio) == PERSONAL
    # the untrained model forecasts that nothing changes
    assert standing.scores[GLOBAL].ratio == pytest.approx(1.0, abs=1e-3)


def test_without_new_readings_nothing_is_scored_twice(trainer: Trainer) -> None:
    first = run(trainer, 300)
    again = run(trainer, 300, first)
    assert kept(again).standing == kept(first).standing
    assert kept(again).drift == kept(first).drift


def test_a_sensor_that_went_wrong_raises_an_alarm_with_its_day(trainer: Trainer) -> None:
    broken = Site(1500)
    broken.values[1200:, 0] += np.random.default_rng(0).normal(0, 4, 300)
    before = None
    for hours in range(300, 1501, 100):
        before = run(trainer, hours, before, broken)
    assert before is not None
    drift = kept(before).drift
    began = int(broken.times[1200] // 86400)
    assert drift.since is not None
    assert abs(drift.since - began) <= 2


def test_a_note_that_is_damaged_is_none(trainer: Trainer) -> None:
    told = run(trainer, 300).local_state
    assert told is not None
    for damaged in (told.replace('"baseline"', "7"), told.replace('"standing"', '"x"'), told.replace('"drift": [', '"drift": ["a", ')):
        assert local_state.read(damaged, GRAPH.manifest, GRAPH.state).own.empty


def test_of_a_large_model_none_is_kept_beside(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "LARGEST", 10)
    assert kept(run(trainer, 300)).personal is None


def test_what_the_graph_calls_the_baseline_is_found_to_be_persistence_or_not(trainer: Trainer) -> None:
    data = windows(SITE.times, SITE.values, GRAPH.manifest)
    trainer.run(update(), SITE.until(300), None)
    tensors = {f"w{i}": tensor for i, tensor in enumerate(GRAPH.manifest.layout.split(GRAPH.initial))}
    baseline = measure(trainer._runner, data, tensors)["baseline"]
    assert persists(data, GRAPH.manifest, baseline)
    assert not persists(data, GRAPH.manifest, baseline * 1.1)


def test_a_blend_lies_in_the_middle() -> None:
    first, second = np.array([0.0, 2.0], np.float32), np.array([1.0, 4.0], np.float32)
    assert blend(first, second).tolist() == [0.5, 3.0]
    assert blend(first, second).dtype == np.float32


@pytest.mark.parametrize(("forgets", "since", "left"), [(False, 400, 0), (True, 400, 358), (True, 590, 473), (True, 0, 0)])
def test_who_forgets_trains_on_what_came_since_its_error_rose_and_tests_all_that_is_new(
    tmp_path: Path, forgets: bool, since: int, left: int
) -> None:
    trainer = Trainer(tmp_path, lambda _: GRAPH.data, "pi-1", forgets=forgets)
    first = run(trainer, 300)
    noted = local_state.read(first.local_state, GRAPH.manifest, GRAPH.state)
    risen = replace(noted.own, drift=replace(noted.own.drift, changed=int(SITE.times[since] // DAY)))
    again = replace(first, local_state=local_state.written(GRAPH.manifest, noted._replace(own=risen)))
    second = run(trainer, 600, again)
    whole = len(windows(SITE.times[:600], SITE.values[:600], GRAPH.manifest))
    assert second.complete.samples == whole - left
    assert second.complete.metrics["test_samples"] == 300
