"""The messages of an evaluation, there and back, and what of them is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bramble_protocol import sections
from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Evaluate, Evaluated, model_name

LAYOUT = Layout.of([("dense/kernel", [2, 2]), ("dense/bias", [2])])
MODELS = {model_name(LAYOUT, weights, "float32"): weights for weights in (np.full(6, value, np.float32) for value in (0.5, 1.5))}
ASKED = Evaluate(3, "climate", "0" * 64, LAYOUT, "float32", MODELS, 7, 60.0)
FOUND = Evaluated(3, 25, 2.0, dict.fromkeys(MODELS, 1.5))


@pytest.mark.parametrize("encoding", ["float32", "float16"])
def test_a_request_comes_as_it_was_sent(encoding: str) -> None:
    wire = Evaluate(3, "climate", "0" * 64, LAYOUT, encoding, MODELS, 7, 60.0).to_wire()
    found = Evaluate.from_wire(wire)
    assert (found.evaluation, found.task, found.trained, found.deadline_s, found.encoding) == (3, "climate", 7, 60.0, encoding)
    assert {name: weights.tolist() for name, weights in found.models.items()} == {name: w.tolist() for name, w in MODELS.items()}


COUNTED = Evaluated(3, 25, 2.0, FOUND.errors, {key: {"confusion": (20.0, 1.0, 0.0, 4.0)} for key in MODELS})


@pytest.mark.parametrize("answer", [FOUND, COUNTED, Evaluated(3, reason="no data yet")])
def test_an_answer_comes_as_it_was_sent(answer: Evaluated) -> None:
    assert Evaluated.from_wire(answer.to_wire()) == answer


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"evaluation": 0}, "evaluation"),
        ({"encoding": "float32"}, "encoding"),
        ({"models": []}, "models"),
        ({"models": ["x"]}, r"models\[0\]"),
        ({"models": ["0" * 16]}, "is not one of"),
        ({"models": [*MODELS, "0" * 16]}, "there is no section"),
        ({"trained": -1}, "trained"),
        ({"trained": None}, "trained"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"weights": b""}, "sections"),
        ({"weights": sections.pack([("model-" + name, "float32", b"\0" * 20) for name in MODELS])}, "which takes 24"),
        ({"weights": sections.pack([("model-" + name, "delta-float16", b"\0" * 12) for name in MODELS])}, "delta-float16"),
        ({"weights": sections.pack([("model-" + name, "float32", b"\xff" * 24) for name in MODELS])}, "model-"),
        ({"more": 1}, "unknown field more"),
    ],
)
def test_a_request_that_is_not_in_order_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BrambleError, match=named):
        Evaluate.from_wire({**ASKED.to_wire(), **change})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"evaluation": "3"}, "evaluation"),
        ({"samples": 0}, "samples"),
        ({"samples": 10**9}, "samples"),
        ({"baseline": -1.0}, "baseline"),
        ({"baseline": float("nan")}, "baseline"),
        ({"errors": {"a": float("inf")}}, "errors.a"),
        ({"errors": {"a": -1.0}}, "errors.a"),
        ({"errors": dict.fromkeys(map(str, range(9)), 1.0)}, "errors"),
        ({"reason": "both"}, "unknown field"),
        ({"counts": {}}, "counts: missing"),
        ({"counts": {key: {"confusion": [-1.0]} for key in MODELS}}, "counts.confusion"),
    ],
)
def test_an_answer_that_is_not_in_order_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BrambleError, match=named):
        Evaluated.from_wire({**FOUND.to_wire(), **change})
