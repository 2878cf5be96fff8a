"""What the agent makes of a request to train, over real sockets, with the built-in task and a training process of its own."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bramble_client.acquire.recorder import TESTED_UNTIL
from bramble_client.deliver.download import FETCHES, DownloadFailed, GraphDownload
from bramble_client.learn.local_state import LOCAL_STATE
from bramble_client.learn.measures import UNTOLD
from bramble_protocol.features import FEATURES
from bramble_protocol.graph import GraphFile
from bramble_protocol.messages import ClientUpdate, Control, DataUpdate, Extras, TrainingComplete
from tests.edge_client.agents import GRAPH, START, Make, always, give_data, heard, update
from tests.edge_client.socketserver import Server
from tests.waiting import wait_for

SEVERAL = GraphFile.read((Path(__file__).parents[1] / "runtimes" / "references" / "several.tflite").read_bytes())
"""Two inputs, two targets, and a layer that keeps a moving mean."""


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


@pytest.mark.process
def test_a_control_is_gone_on_with_though_the_next_request_overtakes_the_acknowledgement(
    server: Server, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    make()
    give_data(server)

    def ask(number: int, since: int) -> None:
        asked = ClientUpdate(
            number, "climate", GRAPH.sha256, GRAPH.manifest.layout, "float32", "float32", GRAPH.initial, GRAPH.manifest.config,
            extras=Extras(steps=True, control=Control(since)),
        )  # fmt: skip
        server.sio.emit("client_update", asked.to_wire(FEATURES))

    def overtake(event: str, data: Any) -> dict[str, Any]:
        if event == "training_complete" and data["round"] == 1:
            ask(2, since=1)
            wait_for(lambda: "waits until the server says whether it took the last answer" in caplog.text, "it to wait")
        return {"accepted": True}

    server.answer = overtake
    ask(1, since=0)
    assert [told["since"] for told in heard(server, "training_complete", 2)] == [0, 1]
