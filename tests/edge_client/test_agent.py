"""What the agent does about each event, over real sockets, with drivers on a simulated bus."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from bramble_client.acquire import self_paced
from bramble_client.hal import Quality, Reading
from bramble_protocol.messages import DataUpdate, GenerateData, Handshake, TrainingFailed
from tests.edge_client.agents import START, Make, give_data, heard, update
from tests.edge_client.socketserver import Server
from tests.waiting import wait_for


def test_it_introduces_itself_as_the_contract_says_and_greets_once(server: Server, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    agent = make()
    hello = Handshake.from_wire(server.auth[0])
    assert (hello.protocol, hello.client_id, hello.token, hello.simulated) == (2, "pi-1", "s3cret", True)
    assert {"temperature", "humidity", "pressure"} <= {channel.key for channel in hello.channels}
    server.sio.disconnect(server.sids[-1])
    wait_for(lambda: len(server.auth) == 2 and agent._link.up, "the second connection")
    assert len(hello.instance) == 16
    assert server.auth[0] == server.auth[1], "it is still the same process"
    assert capsys.readouterr().out == f"bramble client pi-1 connected to {server.url}\n"


def test_a_notice_of_the_server_is_logged_at_however_many_connections_once(
    server: Server, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    make()
    said = {"about": "channels", "sentence": "this client does not measure humidity"}
    for notice in (said, said, {"about": "name", "sentence": "two have one name"}, said, {"about": "name", "sentence": "\x1b[2J"}):
        server.sio.emit("notice", notice)
    wait_for(lambda: "a notice cannot be read" in caplog.text, "the last notice")
    assert caplog.text.count("the server says: this client does not measure humidity") == 1
    assert caplog.text.count("the server says: two have one name") == 1
    assert "\x1b" not in caplog.text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"weights": b"\0" * 8}, "weights: 8 bytes do not fit"),
        ({"encoding": "int3"}, "encoding"),
        ({"surprise": 1}, "unknown field surprise"),
        ({"config": {}}, "config: missing"),
    ],
)
def test_a_request_that_cannot_be_read_is_answered_with_what_is_wrong(
    server: Server, make: Make, change: dict[str, Any], named: str
) -> None:
    make()
    server.sio.emit("client_update", update(7, **change))
    failed = TrainingFailed.from_wire(heard(server, "training_failed")[0])
    assert failed.round == 7
    assert named in failed.reason


@pytest.mark.parametrize("payload", [None, [], "train!", {"round": "seven"}, {"round": 0}, {}])
def test_nonsense_is_logged_and_the_next_event_is_served(
    server: Server, make: Make, caplog: pytest.LogCaptureFixture, payload: Any
) -> None:
    make()
    for event in ("client_update", "generate_data"):
        server.sio.emit(event, payload)
    give_data(server)
    assert [record.levelno for record in caplog.records if "cannot be read" in record.getMessage()] == [logging.ERROR] * 2
    assert len(server.auth) == 1


def test_real_sensors_in_evaluation_are_sampled_by_the_clock_and_mirrored_without_a_cycle(
    server: Server, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_paced, "MIRROR_S", 0.05)
    agent = make(sensors="linux", sample_every=0.01)
    updates = [DataUpdate.from_wire(data) for data in heard(server, "data_update", 3)]
    assert {message.cycle for message in updates} == {None}
    times = [t for message in updates for t in message.t]
    assert times == sorted(set(times))
    assert {"temperature", "humidity", "pressure"} == updates[0].channels.keys()
    assert agent._recorder.columns(["temperature"])[0].size >= len(times)


@pytest.mark.process
def test_in_private_mode_readings_stay_here_and_the_servers_wish_is_declined_once(
    server: Server, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    agent = make(mode="private", sample_every=0.01)
    for cycle in (1, 2, 3):
        server.sio.emit("generate_data", GenerateData(cycle, START, 3600.0, 10).to_wire())
    server.sio.emit("client_update", update())  # no window yet: its answer comes after the wishes
    heard(server, "training_failed")
    wait_for(lambda: agent._recorder.columns(["temperature"])[0].size > 5, "samples")
    assert [name for name, _ in server.heard if name == "data_update"] == []
    assert caplog.text.count("private mode") == 1


def test_a_reset_forgets_what_a_self_paced_client_sampled(server: Server, make: Make) -> None:
    agent = make(mode="private", sample_every=0.05)
    wait_for(lambda: agent._recorder.columns(["temperature"])[0].size > 5, "samples")
    before = agent._recorder.columns(["temperature"])[0][-1]
    server.sio.emit("reset", {})
    wait_for(lambda: (times := agent._recorder.columns(["temperature"])[0]).size and times[0] > before, "only later ones")


def test_a_self_paced_client_ends_in_time_with_a_sensor_that_does_not_come_back(
    server: Server, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make(mode="private", sample_every=0.05)
    let, hanging = threading.Event(), threading.Event()

    def hang() -> list[Reading]:
        hanging.set()
        let.wait(60)
        return []

    monkeypatch.setattr(agent._board.sensors[0], "read", hang)
    assert hanging.wait(60)
    agent.stop()
    assert not let.is_set(), "it did not wait for the sensor"
    let.set()


def test_a_part_that_died_is_named_to_whoever_watches(server: Server, make: Make) -> None:
    agent = make()
    assert agent.hangs() is None
    agent._cycles.stop(60)
    assert agent.hangs() == "cycles"


def test_a_sensor_that_is_not_believed_is_named_in_the_health_report(server: Server, make: Make) -> None:
    agent = make()
    assert heard(server, "health")[0]["sensors_doubted"] == []
    agent._board.sensors[0].doubts.report({"temperature": Quality.RANGE}, None)
    agent._reporter.wake()
    wait_for(lambda: heard(server, "health")[-1]["sensors_doubted"] == ["bme280"], "a report that names it")


def test_a_reset_that_the_disk_does_not_take_is_said_and_ends_nothing(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    agent = make()
    agent._outbox.put_readings("1", "data_update", {})
    agent._outbox._db.execute("PRAGMA query_only = 1")
    agent.reset()
    assert "reset: what is on the disk cannot be forgotten (attempt to write a readonly database" in caplog.text
    assert "are forgotten" not in caplog.text
    agent._outbox._db.execute("PRAGMA query_only = 0")
    agent.reset()
    assert agent._outbox.next() is None
