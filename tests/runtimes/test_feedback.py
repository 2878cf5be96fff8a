"""What a codec leaves out of an answer, with the climate graph: it comes with the next one, and no seed gives two answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn import local_state
from bramble_client.learn.trainer import Result, Trainer
from bramble_protocol.layout import Weights
from bramble_protocol.messages import ClientUpdate, TrainingComplete
from tests.runtimes.site import GRAPH, Site, update

SITE = Site(300)
TOPK = "topk-0.01"


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, lambda _: GRAPH.data, "pi-1")


def asking(encoding: str, number: int = 3, weights: Weights = GRAPH.initial) -> ClientUpdate:
    asked = replace(update(), round=number, reply_encoding=encoding, weights=weights)
    return replace(asked, model=asked.digest)


def run(trainer: Trainer, asked: ClientUpdate, noted: str | None = None) -> Result:
    return trainer.run(asked, SITE.columns, None, noted=noted)


def came(result: Result, asked: ClientUpdate) -> Weights:
    """What the server has of an answer."""
    return TrainingComplete.from_wire(result.complete.to_wire(asked), GRAPH.manifest.layout, asked).weights


def left(result: Result) -> Weights | None:
    rest = local_state.read(result.local_state, GRAPH.manifest, GRAPH.state).left
    return None if rest is None else rest.added


def test_what_was_sent_and_what_is_left_are_together_what_was_trained(trainer: Trainer) -> None:
    sent, trained, noted, weights = np.zeros_like(GRAPH.initial), np.zeros_like(GRAPH.initial), None, GRAPH.initial
    for number in (3, 4, 5):
        asked = asking(TOPK, number, weights)
        result = run(trainer, asked, noted)
        moved = came(result, asked) - weights
        assert 0 < np.count_nonzero(moved) <= 29
        sent += moved
        trained += run(trainer, asking("float32", number, weights)).complete.weights - weights
        noted, weights = result.local_state, weights + moved
        rest = left(result)
        assert rest is not None
        np.testing.assert_allclose(sent + rest, trained, rtol=0, atol=1e-6)


def test_what_was_left_decides_what_is_sent_next(trainer: Trainer) -> None:
    first = run(trainer, asking(TOPK))
    asked = asking(TOPK, 4)
    with_it, without = (came(run(trainer, asked, noted), asked) for noted in (first.local_state, None))
    assert not np.array_equal(with_it, without)
    np.testing.assert_array_equal(with_it, came(run(trainer, asked, first.local_state), asked))


def test_an_answer_in_an_encoding_that_sends_everything_leaves_nothing(trainer: Trainer) -> None:
    noted = run(trainer, asking(TOPK)).local_state
    for encoding in ("float32", "delta-float16", "delta-int8"):
        after = run(trainer, asking(encoding, 4), noted)
        assert local_state.read(after.local_state, GRAPH.manifest, GRAPH.state).left is None
        np.testing.assert_array_equal(after.complete.weights, run(trainer, asking(encoding, 4)).complete.weights)


def test_an_answer_whose_round_came_to_nothing_leaves_what_was_there_before(trainer: Trainer) -> None:
    first = run(trainer, asking(TOPK))
    second = run(trainer, asking(TOPK, 4), first.local_state)
    asked = replace(asking(TOPK, 5), abandoned=(1, 4))
    np.testing.assert_array_equal(came(run(trainer, asked, second.local_state), asked), came(run(trainer, asked, first.local_state), asked))
    assert not np.array_equal(
        came(run(trainer, replace(asked, abandoned=(3,)), second.local_state), asked), came(run(trainer, asked), asked)
    )
    again = run(trainer, replace(asking(TOPK, 6), abandoned=(3,)), first.local_state)
    np.testing.assert_array_equal(again.complete.weights, run(trainer, asking(TOPK, 6)).complete.weights)


@pytest.mark.parametrize("spoilt", ["", "AAAA", "no base64", "zero"])
def test_a_damaged_note_is_none(trainer: Trainer, spoilt: str) -> None:
    asked = asking(TOPK, 4)
    noted = f'["{GRAPH.manifest.meaning}", "", {{}}, "{spoilt}"]'
    np.testing.assert_array_equal(came(run(trainer, asked, noted), asked), came(run(trainer, asked), asked))


@pytest.mark.parametrize("encoding", ["int8", "delta-int8"])
def test_a_run_that_is_repeated_rounds_alike_and_another_does_not(trainer: Trainer, tmp_path: Path, encoding: str) -> None:
    asked = asking(encoding)
    first = run(trainer, asked).complete.to_wire(asked)["weights"]
    assert run(trainer, asked).complete.to_wire(asked)["weights"] == first
    other = replace(run(trainer, asked).complete, seed="another")
    assert other.to_wire(asked)["weights"] != first
    neighbour = Trainer(tmp_path / "neighbour", lambda _: GRAPH.data, "pi-2")
    seeds = {run(each, asking(encoding, number)).complete.seed for each in (trainer, neighbour) for number in (3, 4)}
    assert len(seeds) == 4
