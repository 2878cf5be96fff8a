"""Kinds of task in a manifest of format 2: what each must have, optional channels with their masks, and what clients count of tests."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from bramble_protocol import kinds
from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import GraphFile, Manifest
from bramble_protocol.interface import Input, Interface, Target, Value
from bramble_protocol.kinds import BINS, Kind, counted, counts_from_wire, pooled
from bramble_protocol.messages import Channel
from tests.protocol.test_graph import MANIFEST as FORMER

ROOM = dataclasses.replace(
    FORMER,
    optional=("humidity",),
    least=20,
    declared=Interface(
        inputs=(
            Input("past", (24, 2), "float32", ("temperature", "humidity")),
            Input("there", (24, 1), "float32", ("humidity",), mask=True),
        ),
        targets=(
            Target("temperature", (), "float32", "temperature", (3,)),
            Target("humidity", (), "float32", "humidity", (3,)),
            Target("known", (), "float32", "humidity", (3,), mask=True),
        ),
        outputs=(Value("temperature", (), "float32"), Value("humidity", (), "float32")),
        measured=("temperature", "humidity"),
    ),
)
ACTIVITY = dataclasses.replace(
    FORMER,
    channels=(Channel("acceleration_x", "m/s²"), Channel("label", "")),
    target="label",
    horizon=0,
    stride=50,
    kind=Kind("classify", ("sit", "walk", "run")),
    declared=Interface(
        inputs=(Input("motion", (24, 1), "float32", ("acceleration_x",)),),
        targets=(Target("label", (), "int32", "label", (0,)),),
        outputs=(Value("probability", (3,), "float32"),),
    ),
)
ANOMALY = dataclasses.replace(
    FORMER,
    horizon=0,
    kind=Kind("reconstruct", alarm_rate=0.001),
    declared=Interface(
        inputs=(Input("day", (24, 2), "float32", ("temperature", "humidity")),),
        targets=(),
        outputs=(Value("score", (), "float32"),),
    ),
)
FAULTY = dataclasses.replace(
    ANOMALY,
    channels=(*ANOMALY.channels, Channel("label", "")),
    optional=("label",),
    declared=dataclasses.replace(ANOMALY.interface, targets=(Target("fault", (), "int32", "label", (0,)),)),
)
ALL = {"room": ROOM, "activity": ACTIVITY, "anomaly": ANOMALY, "faulty": FAULTY}


@pytest.mark.parametrize("name", ALL)
def test_a_kind_is_read_back_whole_and_has_no_older_form(name: str) -> None:
    manifest = ALL[name]
    assert Manifest.from_wire(json.loads(json.dumps(manifest.to_wire()))) == manifest
    assert manifest.former is None
    with zipfile.ZipFile(io.BytesIO(GraphFile.pack(b"x", manifest, np.zeros(6, np.float32)).data)) as archive:
        assert archive.namelist() == ["manifest.json", "weights.f32"]


def test_a_forecast_of_what_all_clients_have_says_nothing_of_kinds() -> None:
    usual = dataclasses.replace(FORMER, declared=FORMER.interface)
    assert usual.former is not None
    assert not {"kind", "optional", "stride"} & usual.to_wire().keys()
    assert "measured" not in usual.to_wire()["interface"]
    assert not any("mask" in part for part in usual.to_wire()["interface"]["inputs"])


def test_an_edge_more_or_less_makes_another_class_and_a_rule_is_read_back() -> None:
    rule = dataclasses.replace(ACTIVITY, kind=Kind("classify", ("cold", "mild", "warm"), (18.0, 24.0)))
    assert Manifest.from_wire(rule.to_wire()).kind.edges == (18.0, 24.0)
    assert rule.meaning != ACTIVITY.meaning


MALFORMED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no object": ("activity", {"kind": "classify"}, "manifest.kind: expected an object whose name is classify or reconstruct"),
    "no such kind": ("activity", {"kind": {"name": "cluster"}}, "manifest.kind: expected an object whose name is"),
    "a name that is a list": ("activity", {"kind": {"name": ["classify"]}}, "manifest.kind: expected an object whose name is"),
    "no classes": ("activity", {"kind": {"name": "classify"}}, "manifest.kind: missing classes"),
    "one class": ("activity", {"kind": {"name": "classify", "classes": ["sit"]}}, "kind.classes: expected a list of 2 to 32 names"),
    "a class twice": ("activity", {"kind": {"name": "classify", "classes": ["a", "b", "a"]}}, "kind.classes: two have one name"),
    "a class that is a number": ("activity", {"kind": {"name": "classify", "classes": ["a", "b", 3]}}, r"classes\[2\]: expected a text"),
    "too few edges": (
        "activity",
        {"kind": {"name": "classify", "classes": ["a", "b", "c"], "edges": [1.0]}},
        "kind.edges: expected 2 numbers, one between each two classes, or none",
    ),
    "edges that go back": (
        "activity",
        {"kind": {"name": "classify", "classes": ["a", "b", "c"], "edges": [2.0, 1.0]}},
        "kind.edges: expected numbers that increase",
    ),
    "more classes than outputs": (
        "activity",
        {"kind": {"name": "classify", "classes": ["a", "b", "c", "d"]}},
        r"outputs\[0\]: expected the probabilities of its 4 classes, float32",
    ),
    "a rate of nothing": ("anomaly", {"kind": {"name": "reconstruct", "alarm_rate": 0}}, "kind.alarm_rate: expected a finite number from"),
    "a horizon of what is not forecast": ("anomaly", {"horizon": 3}, "manifest.horizon: 3, where its interface says 0"),
    "an optional channel of no task": ("room", {"optional": ["wind"]}, "manifest.optional: 'wind' is not one of its channels"),
    "all channels optional": ("room", {"optional": ["temperature", "humidity"]}, "manifest.optional: all its channels are"),
    "an optional target": ("room", {"optional": ["temperature"]}, "manifest.target: temperature is optional; take a channel"),
    "optional as a text": ("room", {"optional": "humidity"}, "manifest.optional: expected a list of channels"),
    "a channel without a mask": ("faulty", {"optional": ["humidity", "label"]}, "inputs: humidity is optional and no input is its mask"),
    "a fault that all must have": ("faulty", {"optional": []}, "has none, or known faults of an optional channel, int32"),
    "no stride": ("activity", {"stride": 0}, "manifest.stride: expected an integer from 1"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_kind_is_refused_in_a_sentence(name: str) -> None:
    which, other, text = MALFORMED[name]
    with pytest.raises(ProtocolError, match=text):
        Manifest.from_wire({**ALL[which].to_wire(), **other})


def test_targets_that_do_not_suit_the_kind_are_refused() -> None:
    def changed(manifest: Manifest, **parts: Any) -> dict[str, Any]:
        return dataclasses.replace(manifest, declared=dataclasses.replace(manifest.interface, **parts)).to_wire()

    for wire, text in (
        (
            changed(ACTIVITY, targets=(Target("label", (), "float32", "label", (0,)),)),
            r"targets\[0\]: a task that classifies has the class's",
        ),
        (changed(ACTIVITY, targets=()), r"targets: expected a list of 1 to 64"),
        (changed(ANOMALY, outputs=(Value("score", (2,), "float32"),)), r"outputs\[0\]: a task that reconstructs has a window's error"),
        (changed(ROOM, targets=ROOM.interface.targets[:2]), "targets: humidity is of an optional channel and no target is its mask"),
        (changed(ROOM, measured=("pressure",)), "measured: 'pressure' is not one of its targets"),
        (changed(ROOM, measured=("known",)), "measured: 'known' is not one of its targets"),
        (changed(ACTIVITY, measured=("label",)), "measured: a task that does not forecast"),
    ):
        with pytest.raises(ProtocolError, match=text):
            Manifest.from_wire(wire)


def test_format_1_has_no_kinds() -> None:
    for field in ("kind", "optional", "stride", "least"):
        with pytest.raises(ProtocolError, match=f"manifest: unknown field {field}"):
            Manifest.from_wire({**FORMER.to_wire(), field: 1})


def test_what_clients_count_follows_from_the_kind() -> None:
    assert counted(FORMER) == {}
    assert counted(ROOM) == {"target.temperature": 3, "target.humidity": 3}
    assert counted(ACTIVITY) == {"confusion": 9}
    assert counted(ANOMALY) == {"fresh": BINS, "all": BINS}
    assert counted(FAULTY) == {"fresh": BINS, "all": BINS, "faults": BINS}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "counts: expected an object"),
        ({"histogram": [1]}, "counts: 'histogram' is nothing that this task has counted"),
        ({"confusion": [1] * 8}, "counts.confusion: expected a list of 9 numbers"),
        ({"confusion": 9}, "counts.confusion: expected a list of 9 numbers"),
        ({"confusion": [-1] + [0] * 8}, "counts.confusion: expected a finite number from 0"),
        ({"confusion": [float("nan")] * 9}, "counts.confusion: expected a finite number from 0"),
        ({"confusion": [True] * 9}, "counts.confusion: expected a finite number from 0"),
    ],
)
def test_counts_that_were_not_asked_for_are_refused(value: Any, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        counts_from_wire(value, counted(ACTIVITY))


def test_counts_pool_by_addition_in_any_order() -> None:
    one, two = {"confusion": (1.0, 2.0)}, {"confusion": (3.0, 4.0), "fresh": (1.0,)}
    assert pooled(one, two) == pooled(two, one) == {"confusion": (4.0, 6.0), "fresh": (1.0,)}
    assert pooled() == {}
    assert kinds.LABEL == "label"
