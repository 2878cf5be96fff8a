"""What a round asks of a client beyond plain training, on the wire and checked."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_protocol import messages as m
from bramble_protocol import sections
from bramble_protocol.errors import ProtocolError
from bramble_protocol.features import EXTRAS, FEATURES, SECTIONS
from bramble_protocol.layout import Layout

LAYOUT = Layout.of([("kernel", [2, 2]), ("bias", [2])])
WEIGHTS = np.arange(6, dtype=np.float32)
ALL = m.Extras(True, 0.5, WEIGHTS + 1, m.Control(7, 0.25, WEIGHTS + 2))
PLAIN = m.ClientUpdate(9, "climate", "ab" * 32, LAYOUT, "float32", "float32", WEIGHTS, m.TrainConfig(epochs=2, batch_size=32))
ASKED = replace(PLAIN, extras=ALL)
METRICS = {"loss_before": 1.0, "loss_after": 0.5}
COMPLETE = m.TrainingComplete(9, LAYOUT, "float32", WEIGHTS, 120, METRICS, m.Timing(1.0, 2.0, 3.0))
ANSWER = replace(COMPLETE, steps=8, since=7, sections={"control_delta": WEIGHTS + 3})


def heard(asked: m.ClientUpdate = ASKED) -> m.ClientUpdate:
    """What a client that knows everything makes of a request."""
    return m.ClientUpdate.from_wire(asked.to_wire(FEATURES))


def read(wire: dict[str, Any], asked: m.ClientUpdate = ASKED) -> m.TrainingComplete:
    return m.TrainingComplete.from_wire(wire, LAYOUT, asked)


@pytest.mark.parametrize("encoding", ["float32", "float16"])
def test_all_that_is_asked_comes_through(encoding: str) -> None:
    request = replace(ASKED, encoding=encoding).to_wire(FEATURES)
    assert list(sections.unpack(request["weights"], ["weights", "correction", "control"])) == ["weights", "correction", "control"]
    extras = m.ClientUpdate.from_wire(request).extras
    assert (extras.steps, extras.momentum) == (True, 0.5)
    assert extras.control is not None
    assert (extras.control.since, extras.control.rate) == (7, 0.25)
    for found, sent in ((extras.correction, WEIGHTS + 1), (extras.control.common, WEIGHTS + 2)):
        assert found is not None
        np.testing.assert_array_equal(found, sent)


@pytest.mark.parametrize("reply", ["float32", "float16", "delta-float16"])
def test_all_that_is_answered_comes_through_and_its_bytes_are_counted(reply: str) -> None:
    asked = replace(ASKED, reply_encoding=reply)
    answer = read(replace(ANSWER, encoding=reply).to_wire(heard(asked)), asked)
    assert (answer.steps, answer.since, list(answer.sections)) == (8, 7, ["control_delta"])
    np.testing.assert_array_equal(answer.sections["control_delta"], WEIGHTS + 3)
    np.testing.assert_array_equal(answer.weights, WEIGHTS)
    assert answer.nbytes == (48 if reply == "float32" else 24)


def test_where_nothing_is_asked_the_messages_are_what_they_were() -> None:
    request, answer = PLAIN.to_wire(FEATURES), COMPLETE.to_wire(heard(PLAIN))
    assert set(request) == {"round", "task", "graph", "layout", "encoding", "reply_encoding", "weights", "config", "model"}
    assert set(answer) == {"round", "model", "encoding", "weights", "samples", "metrics", "timing"}
    assert request["weights"] == answer["weights"] == sections.pack([("weights", "float32", WEIGHTS.tobytes())])


@pytest.mark.parametrize("lacks", [SECTIONS, *EXTRAS])
def test_a_client_that_lacks_one_of_the_features_is_sent_nothing_of_it(lacks: str) -> None:
    features = [name for name in FEATURES if name != lacks]
    assert set(ASKED.to_wire(features)) == set(PLAIN.to_wire(features))
    assert ASKED.to_wire(features)["weights"] == PLAIN.to_wire(features)["weights"]


@pytest.mark.parametrize(
    ("asked", "brought", "said"),
    [
        (PLAIN, {"steps": 8}, "steps: was not asked for"),
        (PLAIN, {"since": 0}, "since: was not asked for"),
        (PLAIN, {"sections": {"control_delta": WEIGHTS}}, "control_delta: was not asked for"),
        (ASKED, {"since": 7, "sections": {"control_delta": WEIGHTS}}, "steps: missing, and was asked for"),
        (ASKED, {"steps": 8, "sections": {"control_delta": WEIGHTS}}, "since: missing, and was asked for"),
        (ASKED, {"steps": 8, "since": 7}, "control_delta: missing, and was asked for"),
        (ASKED, {**vars(ANSWER), "steps": 9}, "steps: 9 are more than the 8 that 2 epochs of 120 windows take"),
    ],
)
def test_an_answer_brings_what_was_asked_for_and_nothing_else(asked: m.ClientUpdate, brought: dict[str, Any], said: str) -> None:
    wire = replace(COMPLETE, **brought).to_wire(heard(asked))
    with pytest.raises(ProtocolError, match=said):
        read(wire, asked)


def attachment(*others: tuple[str, str, bytes]) -> bytes:
    return sections.pack([("weights", "float32", WEIGHTS.tobytes()), *others])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 0}, "steps: expected an integer from 1"),
        ({"steps": 1.5}, "steps"),
        ({"since": -1}, "since"),
        ({"momentum": 0.5}, "unknown field momentum"),
        ({"weights": attachment(("control", "float32", bytes(24)))}, "'control' is not one of weights, control_delta"),
        ({"weights": attachment(("control_delta", "float32", bytes(20)))}, "control_delta: 20 bytes do not fit the layout"),
        ({"weights": attachment(("control_delta", "delta-float16", bytes(12)))}, "only weights travel as delta-float16"),
        ({"weights": attachment(("control_delta", "int8", bytes(10)))}, "only weights travel as int8"),
        ({"weights": attachment(("control_delta", "int4", bytes(24)))}, "sections.control_delta: 'int4' is not one of"),
        ({"weights": sections.pack([("control_delta", "float32", bytes(24))])}, "there is no section weights"),
        ({"weights": attachment(("control_delta", "float32", b"\xff" * 24))}, "control_delta: value 0 is not finite"),
    ],
)
def test_a_bad_part_of_an_answer_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        read({**ANSWER.to_wire(heard()), **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 1}, "steps: expected true or false"),
        ({"momentum": 1.1}, "momentum: expected a finite number from 0 to 1"),
        ({"momentum": float("nan")}, "momentum"),
        ({"control": True}, "control: expected an object"),
        ({"control": {"since": 1}}, "control: missing rate"),
        ({"control": {"since": 1, "rate": -1.0}}, "control.rate"),
        ({"control": {"since": "1", "rate": None}}, "control.since"),
        ({"weights": attachment(("state", "float32", bytes(24)))}, "'state' is not one of weights, correction, control"),
        ({"weights": attachment(("correction", "float32", bytes(28)))}, "correction: 28 bytes do not fit"),
    ],
)
def test_a_bad_part_of_a_request_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        m.ClientUpdate.from_wire({**ASKED.to_wire(FEATURES), **change})


def test_a_common_control_comes_with_the_field_that_says_what_it_is_for() -> None:
    wire = ASKED.to_wire(FEATURES)
    del wire["control"]
    with pytest.raises(ProtocolError, match=r"sections\.control: the request has no field control"):
        m.ClientUpdate.from_wire(wire)


def test_beyond_sections_nothing_of_it_is_known() -> None:
    for name, value in (("steps", True), ("momentum", 0.5), ("control", {"since": 0, "rate": None})):
        with pytest.raises(ProtocolError, match=f"unknown field {name}"):
            m.ClientUpdate.from_wire({**PLAIN.to_wire(), name: value})
    for name, value in (("steps", 8), ("since", 0)):
        with pytest.raises(ProtocolError, match=f"unknown field {name}"):
            m.TrainingComplete.from_wire({**COMPLETE.to_wire(), name: value}, LAYOUT)


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dictionaries(st.text(max_size=8), st.none())


@given(name=st.sampled_from(["steps", "momentum", "control", "since", "weights"]), value=anything | st.binary(max_size=300))
def test_whatever_comes_raises_nothing_but_a_protocol_error(name: str, value: Any) -> None:
    with contextlib.suppress(ProtocolError):
        m.ClientUpdate.from_wire({**ASKED.to_wire(FEATURES), name: value})
    with contextlib.suppress(ProtocolError):
        read({**ANSWER.to_wire(heard()), name: value})


COUNTING = replace(PLAIN, extras=m.Extras(counts=True, threshold=0.25))


def test_counts_are_asked_for_with_a_threshold_and_answered() -> None:
    asked = heard(COUNTING)
    assert (asked.extras.counts, asked.extras.threshold) == (True, 0.25)
    assert heard(replace(PLAIN, extras=m.Extras(counts=True))).extras.threshold is None
    answer = read(replace(COMPLETE, counts={"confusion": (1.0, 0.0, 2.0, 3.0)}).to_wire(asked), COUNTING)
    assert answer.counts == {"confusion": (1.0, 0.0, 2.0, 3.0)}
    assert read(replace(COMPLETE, counts={}).to_wire(asked), COUNTING).counts == {}, "nothing new arrived"


def test_counts_that_are_missing_not_asked_for_or_no_numbers_are_refused() -> None:
    wire = replace(COMPLETE, counts={"confusion": (1.0,)}).to_wire(heard(COUNTING))
    for asked, answer, text in (
        (COUNTING, {name: value for name, value in wire.items() if name != "counts"}, "counts: missing, and was asked for"),
        (PLAIN, wire, "counts: was not asked for"),
        (COUNTING, {**wire, "counts": {"confusion": "1"}}, "counts.confusion: expected a list"),
    ):
        with pytest.raises(ProtocolError, match=text):
            read(answer, asked)
    with pytest.raises(ProtocolError, match="threshold: the request has no field counts"):
        m.ClientUpdate.from_wire({**PLAIN.to_wire(FEATURES), "threshold": 1.0})


def test_a_client_that_does_not_count_is_not_asked_to() -> None:
    features = [name for name in FEATURES if name != "counts"]
    assert set(COUNTING.to_wire(features)) == set(PLAIN.to_wire(features))
