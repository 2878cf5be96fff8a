"""What the agent does about each event, over real sockets, with the built-in task and drivers on a simulated bus."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bramble_client.acquire import self_paced
from bramble_client.acquire.recorder import TESTED_UNTIL
from bramble_client.agent import Agent
from bramble_client.deliver.download import FETCHES, DownloadFailed, GraphDownload
from bramble_client.hal import Quality, Reading, open_board
from bramble_client.learn.local_state import LOCAL_STATE
from bramble_client.learn.measures import UNTOLD
from bramble_client.settings import ClientSettings
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate, DataUpdate, GenerateData, Handshake, TrainingComplete, TrainingFailed
from tests.edge_client.process import CLIMATE
from tests.edge_client.socketserver import Server
from tests.waiting import wait_for

GRAPH = GraphFile.read(CLIMATE.read_bytes())
SEVERAL = GraphFile.read((Path(__file__).parents[1] / "runtimes" / "references" / "several.tflite").read_bytes())
"""Two inputs, two targets, and a layer that keeps a moving mean."""
START = 1_672_531_200.0


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


Make = Callable[..., Agent]


@pytest.fixture
def make(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    agents: list[tuple[Agent, Any]] = []

    def build(sensors: str = "mock", mode: str = "evaluation", graph: bool = True, **other: Any) -> Agent:
        settings = ClientSettings(id="pi-1", server=server.url, sensors=sensors, mode=mode, reconnect_max=0.05, **other)
        if graph:
            (tmp_path / "graphs").mkdir(exist_ok=True)
            (tmp_path / "graphs" / f"{GRAPH.sha256}.tflite").write_bytes(GRAPH.data)
        board = open_board("mock", seed="pi-1", every=settings.sample_every, live=settings.self_paced)
        agent = Agent(settings, board, tmp_path, "s3cret", None)
        agents.append((agent, board))
        agent.start()
        assert agent._link.wait_up(30)
        return agent

    yield build
    for agent, board in agents:
        agent.stop()
        board.close()


def update(number: int = 1, **other: Any) -> dict[str, Any]:
    manifest = GRAPH.manifest
    message = ClientUpdate(number, "climate", GRAPH.sha256, manifest.layout, "float32", "float32", GRAPH.initial, manifest.config)
    return {**message.to_wire(), **other}


def heard(server: Server, event: str, count: int = 1) -> list[Any]:
    """Wait until the server has heard so many events of a name; return their payloads."""
    return wait_for(lambda: len(found := [data for name, data in server.heard if name == event]) >= count and found, f"{count} {event}")


def always(answer: Any) -> Callable[[str, Any], Any]:
    return lambda event, data: answer


def give_data(server: Server, count: int = 60, cycle: int = 1) -> None:
    server.sio.emit("generate_data", GenerateData(cycle, START, 3600.0, count).to_wire())
    wait_for(lambda: any(data["cycle"] == cycle for data in heard(server, "data_update")), "the readings")


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


@pytest.mark.process
def test_it_trains_what_it_measured_and_mirrors_its_forecasts(server: Server, make: Make) -> None:
    agent = make()
    give_data(server)
    server.sio.emit("client_update", update())
    complete = TrainingComplete.from_wire(heard(server, "training_complete")[0], GRAPH.manifest.layout)
    assert (complete.round, complete.samples) == (1, 33)
    assert complete.timing.received <= complete.timing.train_start <= complete.timing.train_end
    forecasts = [DataUpdate.from_wire(data) for data in heard(server, "data_update", 3) if data["cycle"] is None]
    by_channel = {key: message for message in forecasts for key in message.channels}
    message, following = by_channel["temperature.forecast"], by_channel["temperature._next.forecast"]
    assert (len(following.t), following.t[0]) == (1, message.t[-1] + 3 * 3600), "what is still to come"
    assert len(message.t) == complete.metrics["test_samples"] == 33
    wait_for(lambda: agent._outbox.next() is None, "all to be delivered")


@pytest.mark.process
def test_how_far_it_was_tested_counts_only_once_the_server_took_the_result(server: Server, make: Make) -> None:
    agent = make()
    give_data(server)
    server.answer = lambda event, data: {"accepted": False, "reason": "round over"}
    server.sio.emit("client_update", update(1))
    heard(server, "training_complete")
    wait_for(lambda: agent._outbox.next() is None, "the refusal")
    assert agent._recorder.get(TESTED_UNTIL) is None
    server.answer = lambda event, data: {"accepted": True}
    server.sio.emit("client_update", update(2))
    second = heard(server, "training_complete", 2)[1]
    assert second["metrics"]["test_samples"] == 33
    wait_for(lambda: agent._recorder.get(TESTED_UNTIL) is not None, "the note")
    server.sio.emit("client_update", update(3))
    assert "test_samples" not in heard(server, "training_complete", 3)[2]["metrics"]


@pytest.mark.process
def test_what_the_models_layers_noted_stays_here_and_counts_once_the_server_took_the_result(server: Server, make: Make) -> None:
    agent = make()
    (agent._folder / "graphs" / f"{SEVERAL.sha256}.tflite").write_bytes(SEVERAL.data)
    named = {"task": "several", "graph": SEVERAL.sha256, "layout": SEVERAL.manifest.layout.to_wire(), "weights": SEVERAL.initial.tobytes()}
    give_data(server)
    server.answer = lambda event, data: {"accepted": False, "reason": "round over"}
    server.sio.emit("client_update", update(1, **named))
    first = heard(server, "training_complete")[0]
    wait_for(lambda: agent._outbox.next() is None, "the refusal")
    assert agent._recorder.get(LOCAL_STATE) is None
    server.answer = lambda event, data: {"accepted": True}
    server.sio.emit("client_update", update(2, **named))
    again = heard(server, "training_complete", 2)[1]
    assert first.keys() == again.keys()
    assert again["metrics"]["loss_before"] == first["metrics"]["loss_before"]
    wait_for(lambda: agent._recorder.get(LOCAL_STATE) is not None, "the note")
    server.sio.emit("client_update", update(3, **named))
    assert heard(server, "training_complete", 3)[2]["metrics"]["loss_before"] != first["metrics"]["loss_before"]
    wait_for(lambda: agent._outbox.next() is None, "the answer")
    agent.reset()
    assert agent._recorder.get(LOCAL_STATE) is None


@pytest.mark.process
def test_an_acceptance_that_crosses_a_reset_is_not_noted(server: Server, make: Make) -> None:
    agent = make()
    give_data(server)

    def answer(event: str, data: Any) -> Any:
        if event == "training_complete":
            server.sio.emit("reset", {})
        return {"accepted": True}

    server.answer = answer
    server.sio.emit("client_update", update())
    heard(server, "training_complete")
    wait_for(lambda: agent._recorder.columns(["temperature"])[0].size == 0, "the reset")
    wait_for(lambda: agent._outbox.next() is None, "the answer")
    # the courier has dealt with the acceptance once it has delivered what came after it
    server.sio.emit("client_update", update(2))
    heard(server, "training_failed")
    assert agent._recorder.get(TESTED_UNTIL) is None


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


def test_a_graph_that_the_server_does_not_have_is_an_honest_no(server: Server, make: Make) -> None:
    make(graph=False)
    give_data(server)
    server.sio.emit("client_update", update())
    assert "the server answered HTTP 404" in heard(server, "training_failed")[0]["reason"]


@pytest.mark.process
def test_a_graph_is_fetched_again_when_the_network_failed(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make(graph=False)
    give_data(server)
    failures = [DownloadFailed("graph: timed out", True)] * 2

    def download(sha256: str) -> bytes:
        if failures:
            raise failures.pop()
        return GRAPH.data

    monkeypatch.setattr(GraphDownload, "__call__", lambda _, sha256: download(sha256))
    server.sio.emit("client_update", update())
    heard(server, "training_complete")
    assert failures == []


def test_a_graph_that_the_network_keeps_from_coming_is_an_honest_no(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make(graph=False)
    attempts: list[str] = []

    def download(sha256: str) -> bytes:
        attempts.append(sha256)
        raise DownloadFailed("graph: timed out", True)

    monkeypatch.setattr(GraphDownload, "__call__", lambda _, sha256: download(sha256))
    server.sio.emit("client_update", update())
    assert heard(server, "training_failed")[0]["reason"] == "graph: timed out"
    assert attempts == [GRAPH.sha256] * FETCHES


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


@pytest.mark.process
def test_another_configuration_of_a_round_is_trained_as_it_says(server: Server, make: Make) -> None:
    make()
    give_data(server)
    server.sio.emit("client_update", update(1))
    gentle = replace(GRAPH.manifest.config, learning_rate=0.0)
    server.sio.emit("client_update", update(2, config={**vars(gentle)}, reply_encoding="float16"))
    complete = wait_for(lambda: next((d for d in heard(server, "training_complete") if d["round"] == 2), None), "the second round")
    assert complete["encoding"] == "float16"
    result = TrainingComplete.from_wire(complete, GRAPH.manifest.layout)
    assert result.metrics["loss_after"] == pytest.approx(result.metrics["loss_before"])
    assert result.weights == pytest.approx(GRAPH.initial, abs=1e-3)


@pytest.mark.process
def test_a_round_that_is_over_ends_its_training_and_the_next_is_trained(
    server: Server, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    agent = make()
    give_data(server, 300)
    endless = {**vars(GRAPH.manifest.config), "epochs": 1000, "batch_size": 1, "deadline_s": 600.0}
    server.sio.emit("client_update", update(1, config=endless))
    wait_for(lambda: agent._training.running, "the run")
    server.sio.emit("round_over", {"round": "one"})
    server.sio.emit("round_over", {"round": 1})
    wait_for(lambda: not agent._training.running, "its end")
    server.sio.emit("client_update", update(2))
    assert [data["round"] for data in heard(server, "training_complete")] == [2]
    assert "a round_over cannot be read: round_over.round: expected an integer" in caplog.text
    assert [name for name, _ in server.heard if name == "training_failed"] == []


def hourly(first: int, count: int) -> list[tuple[float, dict[str, float]]]:
    return [(START + 3600.0 * n, {"temperature": 10 + n % 24, "humidity": 50.0, "pressure": 1000.0}) for n in range(first, first + count)]


@pytest.mark.process
def test_in_private_mode_a_test_on_few_windows_leaves_this_client_only_with_those_of_later_rounds(server: Server, make: Make) -> None:
    agent = make(mode="private", sample_every=3600.0)
    wait_for(lambda: agent._recorder.span() is not None, "what it samples at its start")
    agent._recorder.clear()
    agent._recorder.append_many(hourly(0, 40))
    refused, taken = {"accepted": False, "reason": "round over"}, {"accepted": True}
    for number, answer, hours, told in (
        (1, taken, (), set()),  # 13 windows
        (2, refused, hourly(40, 12), {"loss_before", "loss_after", "test_samples", "test_error", "test_baseline"}),
        (3, taken, (), {"loss_before", "loss_after", "test_samples", "test_error", "test_baseline"}),
        (4, taken, hourly(52, 5), {"loss_before", "loss_after"}),
    ):
        agent._recorder.append_many(hours)
        server.answer = always(answer)
        server.sio.emit("client_update", update(number))
        metrics = heard(server, "training_complete", number)[-1]["metrics"]
        wait_for(lambda: agent._outbox.next() is None, "the answer")
        assert set(metrics) == told, number
        if "test_samples" in told:
            assert metrics["test_samples"] == 25, "all that were not told before, each once"
    assert agent._recorder.get(UNTOLD) is not None
    agent.reset()
    assert agent._recorder.get(UNTOLD) is None


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
