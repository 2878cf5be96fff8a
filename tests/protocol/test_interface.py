"""What a graph of format 2 declares: several inputs, targets and outputs, state and slots; and what is refused of it."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble_protocol.errors import ProtocolError
from bramble_protocol.graph import GraphFile, Manifest
from bramble_protocol.interface import Input, Interface, Target, Value
from bramble_protocol.layout import Layout
from tests.examples import examples
from tests.protocol.test_graph import MANIFEST as FORMER

USUAL = dataclasses.replace(
    FORMER, declared=Interface.usual(["temperature", "humidity"], 24, "temperature", 3, slots=("velocity",), clip_norm=0.5)
)
SEVERAL = dataclasses.replace(
    FORMER,
    declared=Interface(
        inputs=(Input("recent", (6, 2), "float32", ("temperature", "humidity")), Input("day", (24, 1), "float32", ("humidity",))),
        targets=(Target("soon", (2,), "float32", "temperature", (1, 3)), Target("room", (), "int32", "humidity", (5,))),
        outputs=(Value("soon", (2,), "float32"), Value("room", (4,), "float32")),
        state=Layout.of([("norm/moving_mean", [8]), ("norm/steps", [])]),
        slots=("velocity",),
        clip_norm=2.0,
    ),
)
INITIAL, STATE = np.arange(6, dtype=np.float32), np.arange(9, dtype=np.float32)


def zipped(**files: Any) -> bytes:
    tail = io.BytesIO()
    with zipfile.ZipFile(tail, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content if isinstance(content, bytes) else json.dumps(content))
    return b"flatbuffer" + tail.getvalue()


@pytest.mark.parametrize("manifest", [USUAL, SEVERAL])
def test_a_manifest_is_read_back_whole_from_what_json_leaves_of_it(manifest: Manifest) -> None:
    wire = manifest.to_wire()
    assert wire["format"] == 2
    assert json.loads(json.dumps(wire)) == wire
    assert Manifest.from_wire(wire) == manifest


def test_a_graph_of_several_is_read_back_with_its_state() -> None:
    graph = GraphFile.read(GraphFile.pack(b"flatbuffer", SEVERAL, INITIAL, STATE).data)
    assert graph.manifest == SEVERAL
    assert graph.flatbuffer == b"flatbuffer"
    np.testing.assert_array_equal(graph.initial, INITIAL)
    np.testing.assert_array_equal(graph.state, STATE)
    assert [tensor.shape for tensor in SEVERAL.interface.state.split(graph.state)] == [(8,), ()]


def test_its_arguments_are_named() -> None:
    assert SEVERAL.interface.arguments(FORMER.layout) == [
        *("recent", "day", "soon", "room", "idx", "sw", "lr", "mu", "momentum", "clip"),
        *("w0", "anchor0", "correction0", "velocity0", "s0", "s1"),
    ]
    assert SEVERAL.interface.furthest == 5


def test_format_1_says_what_the_usual_interface_says() -> None:
    assert FORMER.format == 1
    assert FORMER.to_wire()["format"] == 1
    assert "interface" not in FORMER.to_wire()
    assert (FORMER.interface.inputs, FORMER.interface.targets) == (USUAL.interface.inputs, USUAL.interface.targets)
    assert Manifest.from_wire(FORMER.to_wire()) == FORMER == USUAL.former == FORMER.former
    assert SEVERAL.former is None
    assert dataclasses.replace(USUAL, horizon=6).former is None, "its interface forecasts 3 bins ahead"


def test_a_history_goes_on_over_formats_clips_and_slots_and_over_nothing_that_changes_what_weights_mean() -> None:
    assert FORMER.meaning == USUAL.meaning == dataclasses.replace(USUAL, declared=dataclasses.replace(USUAL.interface, clip_norm=9)).meaning
    face = SEVERAL.interface
    assert SEVERAL.meaning == dataclasses.replace(SEVERAL, declared=dataclasses.replace(face, slots=(), clip_norm=9)).meaning
    others = [
        dataclasses.replace(face, inputs=(face.inputs[1], face.inputs[0])),
        dataclasses.replace(face, targets=face.targets[:1]),
        dataclasses.replace(face, outputs=face.outputs[:1]),
        dataclasses.replace(face, state=Layout(())),
    ]
    meanings = {dataclasses.replace(SEVERAL, declared=other).meaning for other in others}
    assert len(meanings | {SEVERAL.meaning, USUAL.meaning}) == 6


def test_a_file_that_both_formats_can_say_carries_both_manifests_and_no_other() -> None:
    both, several = GraphFile.pack(b"x", USUAL, INITIAL), GraphFile.pack(b"x", SEVERAL, INITIAL, STATE)
    with zipfile.ZipFile(io.BytesIO(both.data)) as archive:
        assert archive.namelist() == ["manifest.json", "manifest.2.json", "weights.f32"]
        assert json.loads(archive.read("manifest.json")) == FORMER.to_wire()
    assert both.manifest == USUAL
    with zipfile.ZipFile(io.BytesIO(several.data)) as archive:
        assert archive.namelist() == ["manifest.json", "weights.f32", "state.f32"]


def test_a_fingerprint_is_of_what_a_client_runs_and_not_of_how_far_ahead_it_forecasts() -> None:
    def far(manifest: Manifest, ahead: int) -> Manifest:
        (target, *others) = manifest.interface.targets
        further = dataclasses.replace(target, horizons=(*target.horizons[:-1], ahead))
        return dataclasses.replace(manifest, horizon=ahead, declared=dataclasses.replace(manifest.interface, targets=(further, *others)))

    for manifest, state in ((USUAL, None), (SEVERAL, STATE)):
        one, two = (GraphFile.pack(b"x", far(manifest, ahead), INITIAL, state) for ahead in (3, 9))
        assert one.fingerprint == two.fingerprint
        longer = dataclasses.replace(manifest.interface, clip_norm=100.0)
        assert GraphFile.pack(b"x", dataclasses.replace(manifest, declared=longer), INITIAL, state).fingerprint != one.fingerprint


def test_two_manifests_that_differ_are_refused() -> None:
    newer = dataclasses.replace(USUAL, step_s=60.0).to_wire()
    with pytest.raises(ProtocolError, match=r"its manifest\.json and its manifest\.2\.json do not say the same; export it again"):
        GraphFile.read(zipped(manifest_json=FORMER.to_wire(), **{"manifest.2.json": newer}, weights_f32=INITIAL.tobytes()))
    with pytest.raises(ProtocolError, match="do not say the same"):
        GraphFile.read(zipped(manifest_json=FORMER.to_wire(), **{"manifest.2.json": SEVERAL.to_wire()}, weights_f32=INITIAL.tobytes()))


@pytest.mark.parametrize(
    ("state", "text"),
    [(None, "state.f32"), (STATE[:-1].tobytes(), "do not fit"), (bytes(4000), "36 are the most"), (b"\xff" * 36, "not finite")],
)
def test_a_state_that_does_not_fit_the_manifest_is_refused(state: bytes | None, text: str) -> None:
    files = {"manifest_json": SEVERAL.to_wire(), "weights_f32": INITIAL.tobytes()}
    with pytest.raises(ProtocolError, match=text):
        GraphFile.read(zipped(**files, **({} if state is None else {"state_f32": state})))


INPUT, TARGET, OUTPUT = ({**SEVERAL.to_wire()["interface"][name][0]} for name in ("inputs", "targets", "outputs"))
MALFORMED: dict[str, tuple[str, Any, str]] = {
    "no list": ("inputs", {}, r"manifest\.interface\.inputs: expected a list of 1 to 64"),
    "no input": ("inputs", [], r"interface\.inputs: expected a list of 1 to 64"),
    "no target": ("targets", [], r"interface\.targets: expected a list of 1 to 64"),
    "no output": ("outputs", [], r"interface\.outputs: expected a list of 1 to 64"),
    "too many": ("inputs", [INPUT] * 65, r"interface\.inputs: expected a list of 1 to 64"),
    "an input that is text": ("inputs", ["recent"], r"interface\.inputs\[0\]: expected an object"),
    "an unknown field": ("inputs", [{**INPUT, "masks": True}], r"inputs\[0\]: unknown field masks"),
    "a missing field": ("outputs", [{"name": "soon", "shape": [2]}], r"outputs\[0\]: missing dtype"),
    "a name with a blank": ("inputs", [{**INPUT, "name": "my input"}], r"inputs\[0\]\.name: 'my input' does not match"),
    "a name of the graph's own": ("inputs", [{**INPUT, "name": "lr"}], r"interface: 'lr' is the name of two things"),
    "a name of a weight's": ("targets", [{**TARGET, "name": "correction0"}], r"interface: 'correction0' is the name of two things"),
    "a slot like a weight": ("slots", ["w"], r"interface: 'w0' is the name of two things"),
    "two inputs of a name": ("inputs", [INPUT, INPUT], r"interface: 'recent' is the name of two things"),
    "two outputs of a name": ("outputs", [OUTPUT, OUTPUT], r"interface\.outputs: 'soon' is the name of two things"),
    "a shape that is none": ("outputs", [{**OUTPUT, "shape": [0]}], r"outputs\[0\]\.shape: expected at most 8 positive integers"),
    "an endless shape": ("outputs", [{**OUTPUT, "shape": [10**9] * 8}], r"outputs\[0\]\.shape: 1e\+72 elements are more than"),
    "an answer without end": ("outputs", [{**OUTPUT, "shape": [1 << 20]}], r"outputs: 4194304 bytes a window are more than 1048576"),
    "an unknown type": ("inputs", [{**INPUT, "dtype": "float16"}], r"inputs\[0\]\.dtype: expected one of float32, int32"),
    "a type that is a list": ("inputs", [{**INPUT, "dtype": ["float32"]}], r"inputs\[0\]\.dtype: expected one of"),
    "an unknown channel": ("inputs", [{**INPUT, "channels": ["temperature", "wind"]}], r"inputs\[0\]\.channels\[1\]: 'wind' is not one of"),
    "a channel that is an object": ("targets", [{**TARGET, "channel": {}}], r"targets\[0\]\.channel: '\{\}' is not one of"),
    "a channel twice": (
        "inputs",
        [{**INPUT, "channels": ["humidity"] * 2}],
        r"inputs\[0\]\.channels: 'humidity' is the name of two things",
    ),
    "fewer channels": ("inputs", [{**INPUT, "channels": ["humidity"]}], r"inputs\[0\]\.shape: expected \[bins, 1\]"),
    "a flat input": ("inputs", [{**INPUT, "shape": [12]}], r"inputs\[0\]\.shape: expected \[bins, 2\]"),
    "no horizon": ("targets", [{**TARGET, "horizons": []}], r"targets\[0\]\.horizons: expected a list of 1 to 64"),
    "a horizon before now": ("targets", [{**TARGET, "horizons": [-1, 3]}], r"targets\[0\]\.horizons\[0\]: expected an integer from 0"),
    "horizons that go back": ("targets", [{**TARGET, "horizons": [3, 1]}], r"targets\[0\]\.horizons: expected numbers that increase"),
    "fewer horizons": ("targets", [{**TARGET, "horizons": [3]}], r"targets\[0\]\.shape: expected \[1\], one for each horizon, or \[\]"),
    "one shape for two": ("targets", [{**TARGET, "shape": []}], r"targets\[0\]\.shape: expected \[2\], one for each horizon$"),
    "a state that is none": ("state", None, r"interface\.state: expected a list of 0 to 4096 tensors"),
    "a state without a shape": ("state", [{"name": "mean"}], r"interface\.state\[0\]: expected an object with exactly"),
    "slots that are text": ("slots", "velocity", r"interface\.slots: expected a list of 0 to 64"),
    "an endless clip": ("clip_norm", float("inf"), r"interface\.clip_norm: expected a finite number"),
    "a clip that is text": ("clip_norm", "1", r"interface\.clip_norm: expected a finite number"),
    "a shorter window": ("inputs", [INPUT], r"manifest\.window: 24, where its interface says 6"),
    "another target": (
        "targets",
        [{**TARGET, "channel": "humidity"}],
        r"manifest\.target: 'temperature', where its interface says 'humidity'",
    ),
    "another horizon": ("targets", [{**TARGET, "horizons": [1, 4]}], r"manifest\.horizon: 3, where its interface says 4"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_interface_is_refused_in_a_sentence(name: str) -> None:
    field, value, text = MALFORMED[name]
    wire = SEVERAL.to_wire()
    with pytest.raises(ProtocolError, match=text):
        Manifest.from_wire({**wire, "interface": {**wire["interface"], field: value}})


def test_a_channel_that_nothing_takes_is_refused() -> None:
    wire = SEVERAL.to_wire()
    with pytest.raises(ProtocolError, match="interface: no input or target is of channel wind"):
        Manifest.from_wire({**wire, "channels": [*wire["channels"], {"key": "wind", "unit": "m/s"}]})


@pytest.mark.parametrize("version", [0, 3, "2", 2.0, True, None])
def test_an_unknown_format_is_refused(version: Any) -> None:
    with pytest.raises(ProtocolError, match=r"manifest\.format: expected an integer from 1 to 2"):
        Manifest.from_wire({**SEVERAL.to_wire(), "format": version})


def test_a_format_does_not_have_the_others_fields() -> None:
    with pytest.raises(ProtocolError, match="manifest: unknown field interface"):
        Manifest.from_wire({**SEVERAL.to_wire(), "format": 1})
    with pytest.raises(ProtocolError, match="manifest: missing interface"):
        Manifest.from_wire({**FORMER.to_wire(), "format": 2})
    others: tuple[Any, ...] = (None, [], "manifest", {})
    for nothing in others:
        with pytest.raises(ProtocolError, match="manifest: expected an object with a format"):
            Manifest.from_wire(nothing)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["temperature", "w0", "float32", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "shape", "dtype", "channels"]), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in items for place in places(part, (*path, key)))]


@settings(max_examples=examples(500))
@given(st.data())
def test_whatever_stands_in_any_place_is_read_or_refused_and_nothing_else(choose: st.DataObject) -> None:
    wire = {"manifest": copy.deepcopy(SEVERAL.to_wire())}
    *before, last = choose.draw(st.sampled_from(places(wire)[1:]))
    place: Any = wire
    for key in before:
        place = place[key]
    if choose.draw(st.booleans()):
        place[last] = choose.draw(ANYTHING)
    elif isinstance(place, dict):
        del place[last]
    else:
        place.append(copy.deepcopy(place[last]))
    try:
        read = Manifest.from_wire(wire.get("manifest"))
    except ProtocolError as refusal:
        said = str(refusal)
    else:
        assert Manifest.from_wire(read.to_wire()) == read
        return
    assert 10 < len(said) < 400


@settings(max_examples=examples(200))
@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_nothing_else(choose: st.DataObject) -> None:
    manifest, state = choose.draw(st.sampled_from([(USUAL, None), (SEVERAL, STATE)]))
    data = bytearray(GraphFile.pack(b"flatbuffer", manifest, INITIAL, state).data)
    for _ in range(choose.draw(st.integers(1, 4))):
        data[choose.draw(st.integers(10, len(data) - 1))] = choose.draw(st.integers(0, 255))
    try:
        read = GraphFile.read(bytes(data))
    except ProtocolError:
        return
    assert read.state.shape == (read.manifest.interface.state.size,)
