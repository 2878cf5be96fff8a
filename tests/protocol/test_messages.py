from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble_protocol import messages as m
from bramble_protocol import sections
from bramble_protocol.errors import ProtocolError, StaleError
from bramble_protocol.features import FEATURES, TRACKS, common
from bramble_protocol.layout import Layout

LAYOUT = Layout.of([("kernel", [2, 2]), ("bias", [2])])
WEIGHTS = np.arange(6, dtype=np.float32)

UPDATE = m.ClientUpdate(3, "climate", "ab" * 32, LAYOUT, "float32", "float16", WEIGHTS, m.TrainConfig())
COMPLETE = m.TrainingComplete(3, LAYOUT, "float32", WEIGHTS, 120, {"loss_before": 1.0, "loss_after": 0.5}, m.Timing(1.0, 2.0, 3.0))
DATA = m.DataUpdate(None, (0.0, 60.0), {"temperature": m.Column("°C", (21.5, None))})
HANDSHAKE = m.Handshake(1, "pi-kitchen", "secret", True, (m.Channel("temperature", "°C"),), "0.1.0")
HANDSHAKE_2 = m.Handshake(2, "pi-kitchen", "secret", True, (m.Channel("temperature", "°C"),), "0.2.0", ("signed-graphs",), "5f2a9c11")


def test_client_update_survives_the_wire() -> None:
    back = m.ClientUpdate.from_wire(UPDATE.to_wire())
    np.testing.assert_array_equal(back.weights, WEIGHTS)
    assert (back.round, back.task, back.graph, back.layout, back.config) == (3, "climate", "ab" * 32, LAYOUT, m.TrainConfig())


def test_training_complete_survives_the_wire_and_knows_its_size() -> None:
    back = m.TrainingComplete.from_wire(COMPLETE.to_wire(), LAYOUT)
    np.testing.assert_array_equal(back.weights, WEIGHTS)
    assert (back.samples, back.metrics, back.timing, back.nbytes) == (120, dict(COMPLETE.metrics), COMPLETE.timing, 24)


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (m.TrainingFailed(4, "no data yet"), m.TrainingFailed.from_wire),
        (m.GenerateData(1, 1672531200.0, 3600.0, 24), m.GenerateData.from_wire),
        (DATA, m.DataUpdate.from_wire),
        (HANDSHAKE, m.Handshake.from_wire),
        (HANDSHAKE_2, m.Handshake.from_wire),
        (m.Notice("channels", "this client does not measure humidity"), m.Notice.from_wire),
        (m.Reset(), m.Reset.from_wire),
        (m.Reset("climate"), m.Reset.from_wire),
    ],
)
def test_a_message_survives_the_wire(message: Any, read: Any) -> None:
    assert read(message.to_wire()) == message


def asked(update: m.ClientUpdate = UPDATE) -> m.ClientUpdate:
    """What a client of today makes of a request."""
    return m.ClientUpdate.from_wire(update.to_wire(FEATURES))


def test_between_peers_that_know_sections_a_round_travels_in_them() -> None:
    request = UPDATE.to_wire(FEATURES)
    assert set(request) == {*UPDATE.to_wire(), "model"}
    assert (request["encoding"], list(sections.unpack(request["weights"], ["weights"]))) == ("sections", ["weights"])
    back = m.ClientUpdate.from_wire(request)
    np.testing.assert_array_equal(back.weights, WEIGHTS)
    assert (back.encoding, back.model) == ("float32", UPDATE.digest)
    answer = COMPLETE.to_wire(back)
    assert set(answer) == {*COMPLETE.to_wire(), "model"} - {"layout"}
    read = m.TrainingComplete.from_wire(answer, LAYOUT, UPDATE)
    np.testing.assert_array_equal(read.weights, WEIGHTS)
    assert (read.samples, read.metrics, read.timing, read.nbytes) == (120, dict(COMPLETE.metrics), COMPLETE.timing, 24)


@pytest.mark.parametrize("features", [(), ("delta-float16",), ("anything",)])
def test_without_sections_a_request_is_that_of_version_1(features: tuple[str, ...]) -> None:
    request = replace(UPDATE, reply_encoding="delta-float16").to_wire(features)
    assert set(request) == {"round", "task", "graph", "layout", "encoding", "reply_encoding", "weights", "config"}
    assert (request["encoding"], request["reply_encoding"], request["weights"]) == ("float32", "float16", WEIGHTS.tobytes())
    back = m.ClientUpdate.from_wire(request)
    assert back.model is None
    assert COMPLETE.to_wire(back) == COMPLETE.to_wire()


@pytest.mark.parametrize("encoding", ["float32", "float16"])
def test_an_answer_says_how_far_it_moved_from_the_model_as_the_client_has_it(encoding: str) -> None:
    model = np.linspace(-0.3, 0.3, 6).astype(np.float32)
    update = replace(UPDATE, weights=model, encoding=encoding, reply_encoding="delta-float16")
    question = asked(update)
    assert (question.reply_encoding, question.model) == ("delta-float16", update.digest)
    trained = (question.weights + np.float32(1e-4)).astype(np.float32)
    answer = replace(COMPLETE, encoding="delta-float16", weights=trained).to_wire(question)
    read = m.TrainingComplete.from_wire(answer, LAYOUT, update)
    np.testing.assert_allclose(read.weights, trained, rtol=0, atol=1e-7)
    assert (read.encoding, read.nbytes) == ("delta-float16", 12)
    with pytest.raises(ProtocolError, match="there is none here"):
        m.TrainingComplete.from_wire(answer, LAYOUT)


def test_an_answer_to_another_model_of_the_same_number_is_of_a_round_that_is_over() -> None:
    answer = COMPLETE.to_wire(asked(replace(UPDATE, weights=WEIGHTS + 1)))
    with pytest.raises(StaleError, match=r"round over: model [0-9a-f]{16} is not the one that round 3 began with"):
        m.Delivery.from_wire(answer, LAYOUT).open(UPDATE)


@pytest.mark.parametrize("encoding", ["delta-float16", "int8", "delta-int8", "topk-0.5"])
def test_an_encoding_that_version_1_does_not_have_travels_in_sections_alone(encoding: str) -> None:
    plain = {**COMPLETE.to_wire(), "encoding": encoding, "weights": bytes(12)}
    with pytest.raises(ProtocolError, match=f"^encoding: {encoding} travels in sections alone"):
        m.Delivery.from_wire(plain, LAYOUT)
    with pytest.raises(ProtocolError, match=f"^reply_encoding: {encoding} travels in sections alone"):
        m.ClientUpdate.from_wire({**UPDATE.to_wire(), "reply_encoding": encoding})


IN_SECTIONS = COMPLETE.to_wire(asked())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "AB" * 8}, "model"),
        ({"model": None}, "model"),
        ({"model": "ab" * 500}, "model"),
        ({"layout": LAYOUT.to_wire()}, "unknown field layout"),
        ({"encoding": "float32"}, "missing layout"),
        ({"weights": WEIGHTS.tobytes()}, "sections"),
        ({"weights": "text"}, "sections: expected bytes"),
        ({"weights": sections.pack([("weights", "float32", bytes(28))])}, "28 bytes do not fit the layout, which takes 24"),
        ({"weights": sections.pack([("weights", "int4", bytes(24))])}, "'int4' is not one of"),
        ({"weights": sections.pack([("weights", "sections", bytes(24))])}, "'sections' is not one of"),
        ({"weights": sections.pack([("control", "float32", bytes(24))])}, "'control' is not one of weights"),
        ({"weights": sections.pack([("weights", "float32", bytes(24)), ("control", "float32", bytes(24))])}, "'control' is not one of"),
    ],
)
def test_a_bad_field_of_an_answer_in_sections_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        m.TrainingComplete.from_wire({**IN_SECTIONS, **change}, LAYOUT, UPDATE)


def test_weights_that_are_not_finite_are_found_when_they_are_decoded() -> None:
    data = sections.pack([("weights", "float32", np.full(6, np.nan, "<f4").tobytes())])
    delivery = m.Delivery.from_wire({**IN_SECTIONS, "weights": data}, LAYOUT)
    with pytest.raises(ProtocolError, match="value 0 is not finite"):
        delivery.open(UPDATE)


def test_the_same_weights_have_one_name_and_others_another() -> None:
    assert UPDATE.digest == replace(UPDATE, round=9, weights=WEIGHTS.copy()).digest == asked().digest
    other = Layout.of([("kernel", [4]), ("bias", [2])])
    assert len({UPDATE.digest, replace(UPDATE, layout=other).digest, replace(UPDATE, weights=WEIGHTS + 1e-3).digest}) == 3


@pytest.mark.parametrize(
    "value", [None, [], {"task": None}, {"task": ""}, {"task": "../climate"}, {"task": "a" * 64}, {"tasks": ["climate"]}]
)
def test_a_reset_that_cannot_be_read_is_not_taken_for_one_of_everything(value: Any) -> None:
    with pytest.raises(ProtocolError, match="reset"):
        m.Reset.from_wire(value)


def test_only_who_knows_of_several_tasks_is_told_where_to_mirror_forecasts() -> None:
    update = replace(UPDATE, forecast="temperature.later.forecast")
    assert asked(update).forecast == "temperature.later.forecast"
    assert "forecast" not in update.to_wire([name for name in FEATURES if name != TRACKS])
    assert "forecast" not in UPDATE.to_wire(FEATURES)


@pytest.mark.parametrize("key", ["temperature", "later.forecast.temperature", "Temperature.forecast", f"{'t' * 60}.forecast", 7, None])
def test_forecasts_are_mirrored_in_no_channel_that_may_be_a_measured_one(key: Any) -> None:
    with pytest.raises(ProtocolError, match="forecast: "):
        m.ClientUpdate.from_wire(UPDATE.to_wire(FEATURES) | {"forecast": key})


def test_forecasts_of_tasks_with_one_target_have_a_channel_each_however_long_their_names() -> None:
    assert m.forecast_of("temperature") == "temperature.forecast"
    names = ["a-b", "a", "3h", "x" * 63, "x" * 62 + "y"]
    keys = [m.forecast_of("temperature", name) for name in names]
    assert keys[:3] == ["temperature.a_b.forecast", "temperature.a.forecast", "temperature.3h.forecast"]
    assert len({*keys, m.forecast_of("temperature")}) == 6
    for key in keys:
        assert asked(replace(UPDATE, forecast=key)).forecast == key
        assert m.DataUpdate.from_wire(m.DataUpdate(None, (1.0,), {key: m.Column("°C", (2.0,))}).to_wire()).channels.keys() == {key}


def test_that_a_round_is_over_is_said_by_its_number() -> None:
    assert m.RoundOver.from_wire(m.RoundOver(7).to_wire()) == m.RoundOver(7)
    for wrong in (None, {}, {"round": 0}, {"round": 7, "why": "late"}):
        with pytest.raises(ProtocolError, match="round_over"):
            m.RoundOver.from_wire(wrong)


def test_of_a_peers_features_those_are_used_that_are_known_here() -> None:
    assert common(["tomorrow", "delta-float16", "sections", "sections"]) == ("sections", "delta-float16")
    assert common([]) == ()


def test_a_token_is_not_in_the_handshakes_repr() -> None:
    assert "secret" not in repr(HANDSHAKE)


def test_a_minimal_handshake_is_enough() -> None:
    assert m.Handshake.from_wire({"protocol": 1, "client_id": "a"}) == m.Handshake(1, "a")
    assert m.Handshake.from_wire({"protocol": 2, "client_id": "a"}) == m.Handshake(2, "a")


def test_a_handshake_of_version_1_has_exactly_the_fields_of_release_0_1() -> None:
    assert set(HANDSHAKE.to_wire()) == {"protocol", "client_id", "token", "simulated", "channels", "version"}
    for field, value in (("features", []), ("instance", "5f2a9c11")):
        with pytest.raises(ProtocolError, match=f"handshake: unknown field {field}"):
            m.Handshake.from_wire({**HANDSHAKE.to_wire(), field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("features", None),
        ("features", "signed-graphs"),
        ("features", ["Signed"]),
        ("features", [7]),
        ("features", ["f"] * 65),
        ("instance", None),
        ("instance", "two words"),
        ("instance", "x" * 65),
        ("instance", "line\n"),
    ],
)
def test_what_version_2_adds_is_checked_by_name(field: str, value: object) -> None:
    with pytest.raises(ProtocolError, match=field):
        m.Handshake.from_wire({**HANDSHAKE_2.to_wire(), field: value})


@pytest.mark.parametrize(
    "other", [{"about": "weather"}, {"about": ["name"]}, {"sentence": "\x1b[2J"}, {"sentence": "a\nb"}, {"do": "reboot"}]
)
def test_a_bad_notice_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="notice"):
        m.Notice.from_wire({"about": "name", "sentence": "two have one name", **other})


@pytest.mark.parametrize("client_id", ["", "Pi", "-pi", "pi_1", "pi\n", "a" * 64, "../x", "pi kitchen", None, 3])
def test_a_bad_client_id_is_refused(client_id: object) -> None:
    with pytest.raises(ProtocolError, match="client_id"):
        m.Handshake.from_wire({"protocol": 1, "client_id": client_id})


BAD_COMPLETE: list[tuple[str, Any, str]] = [
    ("round", 0, "round"),
    ("round", True, "round"),
    ("round", "3", "round"),
    ("samples", 0, "samples"),
    ("samples", -5, "samples"),
    ("samples", 10**12, "samples"),
    ("samples", 2.5, "samples"),
    ("metrics", None, "metrics"),
    ("metrics", {"loss_after": float("nan")}, "metrics.loss_after"),
    ("metrics", {"loss_after": "low"}, "metrics.loss_after"),
    ("metrics", {str(i): 0.0 for i in range(65)}, "metrics"),
    ("timing", {"received": 0.0}, "timing"),
    ("timing", {"received": 0.0, "train_start": float("inf"), "train_end": 0.0}, "timing.train_start"),
    ("encoding", "int4", "encoding"),
    ("weights", b"short", "weights"),
    ("weights", [0.0] * 6, "weights"),
    ("weights", np.full(6, np.nan, "<f4").tobytes(), "not finite"),
    ("layout", [{"name": "kernel", "shape": [6]}], "layout"),
    ("layout", "mine", "layout"),
]


@pytest.mark.parametrize(("name", "value", "names"), BAD_COMPLETE)
def test_a_bad_field_of_training_complete_is_refused_by_name(name: str, value: Any, names: str) -> None:
    wire = {**COMPLETE.to_wire(), name: value}
    with pytest.raises(ProtocolError, match=names):
        m.TrainingComplete.from_wire(wire, LAYOUT)


@pytest.mark.parametrize("name", list(COMPLETE.to_wire()))
def test_a_missing_field_is_named(name: str) -> None:
    wire = COMPLETE.to_wire()
    del wire[name]
    with pytest.raises(ProtocolError, match=f"missing {name}"):
        m.TrainingComplete.from_wire(wire, LAYOUT)


def test_an_unknown_field_is_named_but_never_at_length() -> None:
    with pytest.raises(ProtocolError, match="unknown field x") as caught:
        m.TrainingComplete.from_wire({**COMPLETE.to_wire(), "x" * 10_000: 1}, LAYOUT)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [None, 3, "text", [], b"bytes"])
@pytest.mark.parametrize("read", [m.TrainingFailed.from_wire, m.DataUpdate.from_wire, m.GenerateData.from_wire, m.Handshake.from_wire])
def test_what_is_not_an_object_is_refused(read: Any, value: Any) -> None:
    with pytest.raises(ProtocolError, match="expected an object"):
        read(value)


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        (("t",), [], "t"),
        (("t",), [60.0, 0.0], "increase"),
        (("t",), [0.0, 0.0], "increase"),
        (("t",), [0.0, float("nan")], r"t\[1\]"),
        (("t",), [float(i) for i in range(m.MAX_READINGS + 1)], "t"),
        (("channels",), {}, "channels"),
        (("channels",), {"Bad Key": {"unit": "x", "value": [1.0, 2.0]}}, "channel"),
        (("channels", "temperature", "value"), [1.0], "2 values"),
        (("channels", "temperature", "value"), [1.0, "x"], r"temperature\[1\]"),
        (("channels", "temperature", "value"), [1.0, float("inf")], r"temperature\[1\]"),
        (("channels", "temperature", "unit"), "°" * 21, "unit"),
        (("cycle",), 0, "cycle"),
    ],
)
def test_bad_readings_are_refused_by_name(path: tuple[str, ...], value: Any, names: str) -> None:
    wire = copy.deepcopy(DATA.to_wire())
    place: Any = wire
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ProtocolError, match=names):
        m.DataUpdate.from_wire(wire)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    value=json_like, name=st.sampled_from([*COMPLETE.to_wire(), "model", None]), whole=st.sampled_from([COMPLETE.to_wire(), IN_SECTIONS])
)
def test_no_payload_raises_anything_but_a_protocol_error(value: Any, name: str | None, whole: dict[str, Any]) -> None:
    wire = value if name is None else {**whole, name: value}
    readers = [lambda w: m.TrainingComplete.from_wire(w, LAYOUT, UPDATE), m.ClientUpdate.from_wire, m.TrainingFailed.from_wire]
    readers += [m.DataUpdate.from_wire, m.GenerateData.from_wire, m.Handshake.from_wire]
    for read in readers:
        with contextlib.suppress(ProtocolError):
            read(wire)
