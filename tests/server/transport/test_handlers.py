"""Every event of a client without a socket: what is answered, what is said, and what a failure costs whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol import sections
from bramble_protocol.layout import Layout
from bramble_protocol.messages import ClientUpdate, Notice, Timing, TrainConfig, TrainingComplete
from bramble_server.fleet.admission import Admission
from bramble_server.fleet.rate_limited_log import RateLimitedLog
from bramble_server.loop import Loop
from bramble_server.rounds.roundfile import RoundFile, RoundFileError
from bramble_server.transport.emitter import Emitter
from bramble_server.transport.handlers import Handlers
from bramble_server.transport.port import UNANSWERED, NotAdmittedError, Receiver
from tests.server.office import Office, Threads
from tests.server.process import LAYOUT


class Wire(Threads):
    """The port without a socket: ``emitted`` is what went out, ``ended`` whose connections were closed."""

    def __init__(self) -> None:
        self.receiver: Receiver
        self.emitted: list[tuple[str, Any, list[str]]] = []
        self.ended: list[str] = []
        self.broken = False

    def attach(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def send(self, sessions: Collection[str], event: str, payload: Any) -> None:
        if self.broken:
            raise OSError("the transport is broken")
        if sessions:
            self.emitted.append((event, payload, sorted(sessions)))

    def close(self, session: str) -> None:
        self.ended.append(session)
        self.receiver.disconnect(session, "server disconnect")

    def pending(self, session: str) -> int:
        return 0

    def loop(self, threads: int) -> Loop:
        return self

    def spawn(self, work: Callable[[], None]) -> Any:
        work()


class Links:
    """The handlers between such a transport and a coordinator with a real store."""

    def __init__(self, folder: Path) -> None:
        self.wire = Wire()
        self.office = Office(folder, downlink=lambda registry: Emitter(self.wire, registry, self.wire.offload))
        admission, registry = Admission(self.office.registry, None, True), self.office.registry
        self.wire.attach(
            Handlers(
                self.wire, self.wire, admission, registry, self.office.coordinator, self.office.transport, self.office.metrics,
                RateLimitedLog(),
            )
        )  # fmt: skip

    def connect(self, client: str, sid: str = "", address: str = "192.0.2.7", **hello: Any) -> str:
        sid = sid or f"sid of {client}"
        channels = [{"key": "temperature", "unit": "°C"}, {"key": "humidity", "unit": "%"}]
        self.wire.receiver.connect(sid, address, {"protocol": 1, "client_id": client, "channels": channels, **hello})
        self.office.drain()
        return sid

    def say(self, sid: str, event: str, *payload: Any) -> Any:
        answer = self.wire.receiver.receive(sid, event, payload)
        self.office.drain()
        return answer

    def heard(self, event: str) -> list[list[str]]:
        return [to for what, _, to in self.wire.emitted if what == event]


@pytest.fixture
def links(tmp_path: Path) -> Iterator[Links]:
    links = Links(tmp_path)
    yield links
    links.office.close()


@pytest.fixture
def two(links: Links) -> tuple[str, str, int]:
    """Sessions of two clients that are asked for a round, and its number."""
    a, b = links.connect("a"), links.connect("b")
    return a, b, links.office.coordinator.start_round().round


def update(number: int, value: float = 1.0, layout: Layout = LAYOUT, **other: Any) -> dict[str, Any]:
    weights = np.full(layout.size, value, np.float32)
    return {**TrainingComplete(number, layout, "float32", weights, 10, {}, Timing(1.0, 2.0, 3.0)).to_wire(), **other}


def test_who_shakes_hands_is_in_the_fleet_and_who_does_not_gets_the_reason(links: Links, caplog: pytest.LogCaptureFixture) -> None:
    links.connect("a")
    with pytest.raises(NotAdmittedError, match="protocol: 99 is not spoken here"):
        links.connect("b", protocol=99)
    assert links.office.registry.connected() == ["a"]
    assert "b (192.0.2.7): handshake refused: protocol: 99" in caplog.text


def test_a_new_connection_takes_the_place_of_the_old_one_which_is_hung_up_on_and_no_longer_heard(
    links: Links, two: tuple[str, str, int]
) -> None:
    _, _, number = two
    new = links.connect("a", sid="another")
    assert links.wire.ended == ["sid of a"]
    assert links.heard("client_update") == [["sid of a", "sid of b"], ["another"]], "it is asked again"
    gone = links.say("sid of a", "training_complete", update(number))
    assert gone == {"accepted": False, "reason": "this connection was replaced by a newer one"}
    assert links.office.registry.connected() == ["a", "b"]
    assert links.say(new, "training_complete", update(number)) == {"accepted": True}


def test_one_from_another_address_is_refused_and_the_one_who_is_there_stays(links: Links) -> None:
    links.connect("a")
    with pytest.raises(NotAdmittedError, match="a is connected from another address"):
        links.connect("a", sid="another", address="192.0.2.8")
    assert links.wire.ended == []
    assert links.office.registry.name("sid of a") == "a"


def test_one_that_does_not_fit_is_told_so_if_it_can_hear_that(links: Links) -> None:
    links.connect("old", channels=[])
    assert links.heard("notice") == []
    links.connect("new", protocol=2, channels=[])
    ((_, notice, to),) = [said for said in links.wire.emitted if said[0] == "notice"]
    assert (to, notice["about"]) == (["sid of new"], "channels")
    assert "does not measure temperature, humidity" in notice["sentence"]


def test_updates_are_acknowledged_and_make_the_next_model(links: Links, two: tuple[str, str, int]) -> None:
    a, b, number = two
    assert links.say(a, "training_complete", update(number, 2.0)) == {"accepted": True}
    assert links.say(a, "training_complete", update(number, 9.0)) == {"accepted": True}, "a repeat"
    assert links.say(b, "training_complete", update(number, 4.0)) == {"accepted": True}
    assert links.office.stored() == (number, [3.0] * LAYOUT.size)
    late = links.say(b, "training_complete", update(number + 5))
    assert late == {"accepted": False, "reason": f"unknown round {number + 5}"}


def in_sections(links: Links, number: int, **other: Any) -> dict[str, Any]:
    """Return an answer to what a client of today was asked."""
    request = next(payload for event, payload, _ in reversed(links.wire.emitted) if event == "client_update" and "model" in payload)
    weights = np.full(LAYOUT.size, 2.0, np.float32)
    complete = TrainingComplete(number, LAYOUT, "float32", weights, 10, {}, Timing(1.0, 2.0, 3.0))
    return {**complete.to_wire(ClientUpdate.from_wire(request)), **other}


def test_each_is_asked_in_its_own_way_and_what_is_said_to_many_alike_is_encoded_once(links: Links) -> None:
    for name, features in (("a", []), ("b", ["sections"]), ("c", ["sections", "tomorrow"]), ("d", ["delta-float16", "sections"])):
        links.connect(name, protocol=2, features=features)
    links.office.coordinator.start_round()
    links.connect("c", sid="another", protocol=2, features=["sections"])
    asked = [(payload, to) for event, payload, to in links.wire.emitted if event == "client_update"]
    assert [to for _, to in asked] == [["sid of a"], ["sid of b", "sid of c"], ["sid of d"], ["another"]]
    assert [payload["encoding"] for payload, _ in asked] == ["float32", "sections", "sections", "sections"]
    assert asked[3][0]["weights"] is asked[1][0]["weights"] is asked[2][0]["weights"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"weights": b""}, "sections: 0 bytes are no attachment with sections"),
        ({"weights": sections.pack([("weights", "float32", bytes(4))])}, "weights: 4 bytes do not fit the layout"),
        ({"weights": sections.pack([("control", "float32", bytes(24))])}, "sections[0].name: 'control' is not one of weights"),
        ({"weights": sections.pack([("weights", "float32", b"\xff" * 24)])}, "weights: value 0 is not finite as float32"),
        ({"model": 7}, "model: expected a text"),
    ],
)
def test_bad_sections_are_refused_by_name_and_their_sender_counts_as_failed(links: Links, other: dict[str, Any], said: str) -> None:
    a, b = (links.connect(name, protocol=2, features=["sections"]) for name in ("a", "b"))
    number = links.office.coordinator.start_round().round
    answer = links.say(a, "training_complete", in_sections(links, number, **other))
    assert answer["accepted"] is False
    assert said in answer["reason"]
    assert links.say(b, "training_complete", in_sections(links, number)) == {"accepted": True}
    assert links.office.stored() == (number, [2.0] * LAYOUT.size)
    assert said in links.office.record(number)["clients"]["a"]["reason"]


def test_an_answer_that_waited_through_an_upgrade_or_a_rollback_of_its_client_is_taken_as_it_is(links: Links) -> None:
    back, forth = links.connect("back", protocol=2, features=["sections"]), links.connect("forth")
    number = links.office.coordinator.start_round().round
    of_today, of_release_0_1 = in_sections(links, number), update(number, 4.0)
    back, forth = links.connect("back", sid="1"), links.connect("forth", sid="2", protocol=2, features=["sections"])
    assert links.say(back, "training_complete", of_today) == {"accepted": True}
    assert links.say(forth, "training_complete", of_release_0_1) == {"accepted": True}
    assert links.office.stored() == (number, [3.0] * LAYOUT.size)


def test_an_answer_to_another_model_costs_its_sender_nothing(links: Links) -> None:
    a = links.connect("a", protocol=2, features=["sections"])
    number = links.office.coordinator.start_round().round
    stale = links.say(a, "training_complete", in_sections(links, number, model="0123456789abcdef"))
    assert stale["reason"] == f"round over: model 0123456789abcdef is not the one that round {number} began with"
    assert links.say(a, "training_complete", in_sections(links, number)) == {"accepted": True}
    assert links.office.stored() == (number, [2.0] * LAYOUT.size)


@pytest.mark.parametrize(
    "payload",
    [(), (1,), (None,), ({},), (update(1), update(1)), (update(1, layout=Layout.of([("other", [3])])),), (update(1, weights=b"\0"),)],
)
def test_an_update_that_is_none_is_refused_by_name_and_the_round_goes_on(
    links: Links, two: tuple[str, str, int], payload: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    a, b, number = two
    answer = links.say(a, "training_complete", *payload)
    assert answer["accepted"] is False
    assert answer["reason"]
    assert f"a: training_complete refused: {answer['reason']}" in caplog.text
    assert links.say(b, "training_complete", update(number, 4.0)) == {"accepted": True}
    if len(payload) == 1:  # one was meant, so nobody waits for it
        assert links.office.stored() == (number, [4.0] * LAYOUT.size)


@pytest.mark.parametrize("error", [RoundFileError("round file: no space"), ZeroDivisionError("bug")])
def test_what_is_the_servers_own_fault_is_not_acknowledged_so_that_it_comes_again(
    links: Links, two: tuple[str, str, int], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    a, b, number = two

    def fails(*arguments: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(RoundFile, "append", fails)
        assert links.say(a, "training_complete", update(number, 2.0)) is UNANSWERED
    assert links.say(a, "training_complete", update(number, 2.0)) == {"accepted": True}
    assert links.say(b, "training_complete", update(number, 4.0)) == {"accepted": True}
    assert links.office.stored() == (number, [3.0] * LAYOUT.size)


def test_an_honest_no_is_taken_and_its_reason_made_printable(links: Links, two: tuple[str, str, int]) -> None:
    a, b, number = two
    assert links.say(a, "training_failed", {"round": number, "reason": "no data\x1b[2J yet"}) == {"accepted": True}
    links.say(b, "training_complete", update(number))
    assert "\x1b" not in links.office.record(number)["clients"]["a"]["reason"]
    assert links.say(a, "training_failed", {"round": "x", "reason": ""})["accepted"] is False


def test_readings_are_acknowledged_once_they_are_stored(links: Links) -> None:
    a = links.connect("a")
    links.office.coordinator.generate(2)
    data = {"cycle": 1, "t": [1.0, 2.0], "channels": {"temperature": {"unit": "°C", "value": [20.0, None]}}}
    links.office.full()
    assert links.say(a, "data_update", data) is UNANSWERED
    links.office.full(False)
    assert links.say(a, "data_update", data) == {"accepted": 2}
    foreign = {**data, "channels": {"pressure": {"unit": "hPa", "value": [1.0, 2.0]}}}
    assert "not a channel that a offered" in links.say(a, "data_update", foreign)["reason"]
    for key, taken in {"temperature.forecast": True, "temperature.small.forecast": True, "temperature.other.forecast": False}.items():
        told = links.say(a, "data_update", {**data, "cycle": None, "channels": {key: data["channels"]["temperature"]}})  # type: ignore[index]
        assert told["accepted"] == (2 if taken else 0), f"{key}: forecasts are those of a task that is served"
    links.wire.broken = True
    assert links.say(a, "data_update", data) == {"accepted": 2}, "what others do not hear is not its matter"


def test_an_event_that_is_not_in_the_contract_is_refused_and_the_client_stays(links: Links) -> None:
    a = links.connect("a")
    assert "unknown event 'drop'" in links.say(a, "drop", {})["reason"]
    for event in ("connect", "disconnect"):
        assert f"unknown event '{event}'" in links.say(a, event, {})["reason"], "an event that a client sent by this name"
    assert links.office.registry.connected() == ["a"]


def test_a_bug_costs_one_message_and_is_logged(links: Links, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    a = links.connect("a")
    monkeypatch.setattr(links.office.registry, "report", lambda *_: 1 // 0)
    assert links.say(a, "health", {"sent": 1.0}) is UNANSWERED
    assert "a: its health failed" in caplog.text
    assert links.say(a, "training_failed", {"round": 1, "reason": "no"})["reason"] == "unknown round 1"


def test_who_leaves_is_not_waited_for(links: Links, two: tuple[str, str, int]) -> None:
    a, b, number = two
    links.wire.receiver.disconnect(a, "transport close")
    links.say(b, "training_complete", update(number))
    assert links.office.record(number)["clients"]["a"]["reason"] == "disconnected"
    assert links.office.registry.connected() == ["b"]


def test_whose_fault_ended_a_connection_stands_in_the_log(links: Links, caplog: pytest.LogCaptureFixture) -> None:
    a = links.connect("a")
    links.wire.receiver.complain(a, "192.0.2.7", "a message is not a Socket.IO packet")
    links.wire.receiver.complain(None, "192.0.2.8", "no handshake within 30 s")
    assert "a: a message is not a Socket.IO packet" in caplog.text
    assert "a connection from 192.0.2.8: no handshake within 30 s" in caplog.text


def test_to_nobody_is_not_to_everybody(links: Links) -> None:
    links.connect("a")
    emitter = Emitter(links.wire, links.office.registry, links.wire.offload)
    update = ClientUpdate(1, "small", "0" * 64, LAYOUT, "float32", "float32", np.zeros(LAYOUT.size, np.float32), TrainConfig())
    emitter.ask([], update)
    emitter.ask(["gone"], update)
    emitter.notice("a", Notice("name", "two"))  # which its version does not know
    assert links.wire.emitted == []
    emitter.reset()
    assert links.wire.emitted == [("reset", {}, ["sid of a"])]


@pytest.mark.parametrize(("parameters", "hops"), [(100, 0), (1 << 18, 1)])
def test_a_large_model_is_encoded_beside_the_loop_and_whoever_left_meanwhile_is_sent_nothing(
    links: Links, parameters: int, hops: int
) -> None:
    a, _ = links.connect("a"), links.connect("b")
    offloaded: list[str] = []

    def offload(work: Callable[..., Any], *arguments: Any) -> Any:
        offloaded.append(work.__name__)
        links.office.registry.leave(a)  # the loop goes on while it is encoded
        return work(*arguments)

    emitter = Emitter(links.wire, links.office.registry, offload)
    layout = Layout.of([("dense/kernel", [parameters])])
    update = ClientUpdate(1, "small", "0" * 64, layout, "float32", "float32", np.zeros(parameters, np.float32), TrainConfig())
    emitter.ask(["a", "b"], update)
    emitter.ask(["b"], update)  # once more: it is encoded already
    assert offloaded == ["pack"] * hops
    sids = [sids for event, _, sids in links.wire.emitted if event == "client_update"]
    assert sids == [["sid of b"] if hops else ["sid of a", "sid of b"], ["sid of b"]]
