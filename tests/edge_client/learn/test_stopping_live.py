"""A client whose time is up in the middle of a run, over real sockets and with its own training process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bramble_client.agent import Agent
from bramble_client.hal import open_board
from bramble_client.machine import health
from bramble_client.settings import ClientSettings
from bramble_protocol.features import FEATURES
from bramble_protocol.messages import ClientUpdate, Extras, TrainingComplete
from tests.edge_client.agents import GRAPH, give_data, heard, update
from tests.edge_client.socketserver import Server

pytestmark = [pytest.mark.process, pytest.mark.load]
ENDLESS = replace(GRAPH.manifest.config, epochs=1000, batch_size=1, deadline_s=4.0)
"""Half a million steps, in four seconds."""


@pytest.fixture
def agent(server: Server, tmp_path: Path) -> Iterator[Agent]:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / f"{GRAPH.sha256}.tflite").write_bytes(GRAPH.data)
    settings = ClientSettings(id="pi-1", server=server.url, sensors="mock", reconnect_max=0.05)
    with closing(open_board("mock", seed="pi-1", live=False)) as board:
        made = Agent(settings, board, tmp_path, None, None)
        made.start()
        assert made._link.wait_up(30)
        give_data(server, 600)
        server.sio.emit("client_update", update())  # its training process is there, and has loaded the graph, before any time counts
        heard(server, "training_complete")
        server.heard[:] = [each for each in server.heard if each[0] != "training_complete"]
        yield made
        made.stop()


def ask(server: Server, **extras: Any) -> ClientUpdate:
    asked = ClientUpdate(
        2, "climate", GRAPH.sha256, GRAPH.manifest.layout, "float32", "float32", GRAPH.initial, ENDLESS, extras=Extras(**extras)
    )
    server.sio.emit("client_update", asked.to_wire(FEATURES))
    return asked


def test_where_steps_are_asked_for_it_hands_in_those_that_it_did(server: Server, agent: Agent) -> None:
    asked = ask(server, steps=True)
    told = heard(server, "training_complete")[0]
    complete = TrainingComplete.from_wire(told, GRAPH.manifest.layout, replace(asked, model=told["model"]))
    assert complete.steps is not None
    assert 0 < complete.steps < ENDLESS.epochs * complete.samples
    assert complete.timing.train_end - complete.timing.received < ENDLESS.deadline_s


def test_elsewhere_it_says_that_it_will_not_end_in_time_long_before_that_is_over(server: Server, agent: Agent) -> None:
    ask(server)
    reason = heard(server, "training_failed")[0]["reason"]
    assert "steps are done with" in reason
    assert "lower epochs, raise the deadline" in reason


def test_a_hot_machine_says_that_it_trains_slowly(
    server: Server, agent: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "read", lambda folder: {"health_cpu_temperature": 82.0})
    ask(server, steps=True)
    heard(server, "training_complete")
    slow = [report["slow"] for report in heard(server, "health", 3)]
    assert True in slow
    assert "this machine is hot (82 °C): it trains at half its pace until it is better" in caplog.text
