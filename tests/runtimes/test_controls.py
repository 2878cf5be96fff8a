"""What a client does beyond plain training, and what goes on from its one run to the next, with the climate graph."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn import local_state
from bramble_client.learn.fitting import TrainingFault
from bramble_client.learn.trainer import Result, Trainer
from bramble_protocol.errors import ProtocolError
from bramble_protocol.layout import Weights
from bramble_protocol.messages import Control, Extras, TrainingComplete
from tests.runtimes.site import GRAPH, Site, update

SITE = Site(300)
COMMON = np.full(GRAPH.manifest.layout.size, 1e-3, np.float32)
STEPS = -(-273 // 16)
RATE = 0.05
"""As ``update`` says."""


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, lambda _: GRAPH.data, "pi-1")


def run(trainer: Trainer, extras: Extras, number: int = 3, noted: str | None = None) -> Result:
    return trainer.run(replace(update(), round=number, extras=extras), SITE.columns, None, noted=noted)


def moved(result: Result) -> Weights:
    return GRAPH.initial - result.complete.weights


def test_it_says_how_many_steps_it_took_where_it_is_asked(trainer: Trainer) -> None:
    assert run(trainer, Extras(steps=True)).complete.steps == STEPS
    assert run(trainer, Extras()).complete.steps is None


def test_a_correction_is_added_to_each_step(trainer: Trainer) -> None:
    """With a gradient that hardly matters beside it, the weights go down by ``lr`` times it at each step."""
    plain, corrected = (moved(run(trainer, Extras(correction=vector))) for vector in (None, COMMON))
    assert np.median(corrected - plain) == pytest.approx(RATE * STEPS * 1e-3, rel=0.05)


def test_momentum_goes_on_from_step_to_step(trainer: Trainer) -> None:
    """A constant pull goes ``(K - m (1 - m^K) / (1 - m)) / (1 - m)`` times its step (Wang et al. 2020, section 3)."""
    plain, pulled = (moved(run(trainer, Extras(momentum=0.5, correction=vector))) for vector in (None, COMMON))
    expected = (STEPS - 0.5 * (1 - 0.5**STEPS) / 0.5) / 0.5
    assert np.median(pulled - plain) == pytest.approx(RATE * expected * 1e-3, rel=0.05)


def test_a_first_control_is_the_mean_gradient_of_the_run(trainer: Trainer) -> None:
    """Karimireddy et al. 2020, option II, from zeros: ``c_i = (x - y) / (K lr)``."""
    result = run(trainer, Extras(control=Control()))
    assert result.complete.since == 0
    np.testing.assert_array_equal(result.complete.weights, run(trainer, Extras()).complete.weights)
    np.testing.assert_allclose(result.complete.sections["control_delta"], moved(result) / (STEPS * RATE), rtol=1e-5, atol=1e-7)


def test_later_it_goes_on_from_its_own_and_the_common_one(trainer: Trainer) -> None:
    first = run(trainer, Extras(control=Control()), 3)
    own = first.complete.sections["control_delta"]
    second = run(trainer, Extras(control=Control(3, None, COMMON)), 4, first.local_state)
    by_hand = run(trainer, Extras(correction=COMMON - own), 4)
    np.testing.assert_array_equal(second.complete.weights, by_hand.complete.weights)
    assert second.complete.since == 3
    expected = moved(second) / (STEPS * RATE) - COMMON
    np.testing.assert_allclose(second.complete.sections["control_delta"], expected, rtol=1e-5, atol=1e-7)
    third = run(trainer, Extras(control=Control(4)), 5, second.local_state)
    held = own + second.complete.sections["control_delta"]
    np.testing.assert_array_equal(third.complete.weights, run(trainer, Extras(correction=-held), 5).complete.weights)


def test_another_rate_is_that_of_feddyn(trainer: Trainer) -> None:
    result = run(trainer, Extras(control=Control(rate=0.5)))
    np.testing.assert_allclose(result.complete.sections["control_delta"], 0.5 * moved(result), rtol=1e-5, atol=1e-7)


def test_an_answer_that_was_not_counted_is_as_if_it_had_not_been(trainer: Trainer) -> None:
    first = run(trainer, Extras(control=Control()), 3)
    lost = run(trainer, Extras(control=Control(3)), 4, first.local_state)
    again = run(trainer, Extras(control=Control(3)), 5, lost.local_state)
    assert again.complete.since == 3
    np.testing.assert_array_equal(again.complete.weights, run(trainer, Extras(control=Control(3)), 5, first.local_state).complete.weights)


@pytest.mark.parametrize("noted", [None, "not what was written", '["another meaning", ""]', "[1]", '{"a": 1}'])
def test_a_control_that_is_not_here_begins_with_zeros_and_the_answer_says_so(trainer: Trainer, noted: str | None) -> None:
    result = run(trainer, Extras(control=Control(3)), 4, noted)
    assert result.complete.since == 0
    np.testing.assert_array_equal(result.complete.weights, run(trainer, Extras(), 4).complete.weights)


def test_the_newest_two_are_kept_and_others_rounds_pass_by(trainer: Trainer) -> None:
    noted = None
    for since, number in ((0, 3), (3, 4), (4, 6)):
        noted = run(trainer, Extras(control=Control(since)), number, noted).local_state
    assert set(local_state.read(noted, GRAPH.manifest, GRAPH.state)[1]) == {4, 6}
    after = local_state.read(run(trainer, Extras(), 7, noted).local_state, GRAPH.manifest, GRAPH.state)[1]
    before = local_state.read(noted, GRAPH.manifest, GRAPH.state)[1]
    assert all(np.array_equal(after[number], before[number]) for number in (4, 6)), "plain training leaves them alone"


def test_it_goes_on_by_what_was_sent_and_not_by_what_was_rounded_away(trainer: Trainer) -> None:
    asked = replace(update(), extras=Extras(control=Control()), reply_encoding="float16")
    result = trainer.run(asked, SITE.columns, None)
    sent = TrainingComplete.from_wire(result.complete.to_wire(replace(asked, model=asked.digest)), GRAPH.manifest.layout, asked)
    kept = local_state.read(result.local_state, GRAPH.manifest, GRAPH.state)[1]
    np.testing.assert_array_equal(kept[3], sent.sections["control_delta"])


def test_a_rate_of_zero_cannot_tell_a_gradient(trainer: Trainer) -> None:
    asked = replace(update(learning_rate=0.0), extras=Extras(control=Control()))
    with pytest.raises(ProtocolError, match="control_delta: value 0 is not finite"):
        trainer.run(asked, SITE.columns, None)


def test_a_graph_of_format_1_takes_none_of_it(tmp_path: Path) -> None:
    old = (Path(__file__).parent / "references" / "climate-0.1.tflite").read_bytes()
    trainer = Trainer(tmp_path, lambda _: old, "pi-1")
    with pytest.raises(TrainingFault, match="format 1, which takes no anchor, correction, momentum or clip"):
        trainer.run(replace(update(), graph=hashlib.sha256(old).hexdigest(), extras=Extras(control=Control())), SITE.columns, None)
