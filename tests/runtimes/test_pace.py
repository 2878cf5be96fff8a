"""A local run that stops before its end, or goes slowly: on the climate graph, on whichever runtime is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn import fitting
from bramble_client.learn.fitting import Model, Run, minibatches
from bramble_client.learn.pace import NotNow, Pace
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import Result, Trainer, TrainingFault, shuffles
from bramble_client.learn.windows import windows
from bramble_protocol.messages import Extras
from tests.runtimes.site import GRAPH, Site, update

PARTIAL = replace(update(epochs=4), extras=Extras(steps=True))
STEPS = 4 * 18


class Calls:
    """The calls of the graph that do steps, of seven where many are left: each step takes a seventh of a second of their own clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[int] = []
        self.rests: list[float] = []
        advance = Run.advance

        def counted(run: Run, count: int) -> None:
            before = run.left
            advance(run, count)
            self.done.append(before - run.left)

        monkeypatch.setattr(Run, "advance", counted)
        monkeypatch.setattr(fitting, "FIRST", 7)
        monkeypatch.setattr(fitting, "CALL_S", 1.0)

    def monotonic(self) -> float:
        return sum(self.done) / 7 + sum(self.rests)

    def time(self) -> float:
        return 0.0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, lambda _: GRAPH.data, "pi-1")


def run(trainer: Trainer, pace: Pace, asked: object = PARTIAL) -> Result:
    return trainer.run(asked, Site(300).columns, None, pace=pace)  # type: ignore[arg-type]


def after(steps: int) -> np.ndarray:
    """The weights after so many steps in one call."""
    site, config = Site(300), PARTIAL.config
    data = windows(site.times, site.values, GRAPH.manifest)
    batches = minibatches(len(data), config, shuffles(config.seed, "pi-1", PARTIAL.round))
    whole = Run(Runtime(GRAPH.flatbuffer), GRAPH.manifest, data, Model(GRAPH.initial, GRAPH.state), batches, config)
    assert whole.left == STEPS
    whole.advance(steps)
    return whole.model.weights


@pytest.mark.parametrize("seconds", [4.5, 9.5])
def test_a_run_whose_time_is_up_hands_in_the_steps_that_it_did(trainer: Trainer, calls: Calls, seconds: float) -> None:
    complete = run(trainer, Pace(until=seconds, clock=calls)).complete
    assert calls.done == [7] * int(seconds) + [3], "the last call does what fits into its half second"
    assert complete.steps == sum(calls.done) < STEPS
    np.testing.assert_array_equal(complete.weights, after(complete.steps))
    assert complete.metrics["loss_after"] < complete.metrics["loss_before"]


def test_a_run_that_may_not_go_on_hands_in_the_steps_that_it_did(trainer: Trainer, calls: Calls) -> None:
    complete = run(trainer, Pace(halted=lambda: "not now: it is five o'clock" if len(calls.done) == 3 else None, clock=calls)).complete
    assert complete.steps == sum(calls.done)
    assert len(calls.done) == 3
    np.testing.assert_array_equal(complete.weights, after(complete.steps))


def test_a_run_that_has_done_nothing_hands_in_nothing(trainer: Trainer, calls: Calls) -> None:
    with pytest.raises(NotNow, match="not now: it is five o'clock"):
        run(trainer, Pace(halted=lambda: "not now: it is five o'clock"))
    with pytest.raises(TrainingFault, match="0 of 72 steps are done with 0 s left of the round; lower epochs, raise the deadline"):
        run(trainer, Pace(until=0.0, clock=calls))
    assert calls.done == []


def test_where_part_of_a_run_is_of_no_use_it_is_given_up_as_soon_as_its_end_is_out_of_reach(trainer: Trainer, calls: Calls) -> None:
    whole = update(epochs=4)
    with pytest.raises(TrainingFault, match=r"7 of 72 steps are done with 3 s left of the round, and the others would take 9 s; lower"):
        run(trainer, Pace(until=4.0, clock=calls), whole)
    assert calls.done == [7]
    with pytest.raises(NotNow, match="five"):
        run(trainer, Pace(halted=lambda: "it is five o'clock" if len(calls.done) == 3 else None, clock=calls), whole)
    np.testing.assert_array_equal(run(trainer, Pace(until=1000.0, clock=calls), whole).complete.weights, after(STEPS))


def test_a_strained_machine_rests_as_long_as_it_works_and_gives_the_same_bits(trainer: Trainer, calls: Calls) -> None:
    slow = run(trainer, Pace(strained=lambda: len(calls.done) > 1, rest=calls.rests.append, clock=calls)).complete
    assert calls.rests == pytest.approx([steps / 7 for steps in calls.done[1:-1]]), (
        "not after the first call, when it was well, nor after the last"
    )
    np.testing.assert_array_equal(slow.weights, after(STEPS))


def test_a_strained_machine_does_not_rest_a_whole_run_past_its_end(trainer: Trainer, calls: Calls) -> None:
    run(trainer, Pace(strained=lambda: True, rest=calls.rests.append, until=12.5, clock=calls), update(epochs=4))
    assert sum(calls.done) == STEPS
    assert calls.rests
    assert calls.monotonic() <= 12.5 + 1e-9
