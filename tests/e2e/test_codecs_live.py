"""Real clients and a real server with each codec: the climate graph is learnt, and as few bytes come as were promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble_protocol.codecs import encoded_size
from bramble_protocol.graph import GraphFile
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

LAYOUT = GraphFile.read(CLIMATE.read_bytes()).manifest.layout
CODECS = {"topk": "topk-0.01", "int8": "int8", "delta-int8": "delta-int8"}
FLAGS = ("--task", str(CLIMATE), "--min-updates", "2", "--deadline", "10m")


@pytest.mark.process
def test_a_fleet_goes_on_learning_whichever_codec_its_server_is_started_with(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, *FLAGS)
    clients = [ClientProcess(server.url, tmp_path, name=name).wait_connected() for name in ("pi-1", "pi-2")]
    losses = []
    try:
        server.measure(200)
        for name, encoding in CODECS.items():
            server.stop()
            server = ServerProcess(tmp_path, *FLAGS, "--codec", name, port=server.port)
            wait_for(lambda server=server: server.api.status()["able"] == 2, "both clients to be back")
            for _ in range(2):
                record = server.play()
                assert (record["state"], record["updates"], record["codec"]["name"]) == ("committed", 2, name)
                assert {part["bytes"] for part in record["clients"].values()} == {encoded_size(LAYOUT, encoding)}
                losses.append(record["metrics"]["loss_before"])
    finally:
        for client in clients:
            client.stop()
        server.stop()
    assert losses == sorted(losses, reverse=True), "of a model that gets better with every round"


@pytest.mark.process
def test_asynchronous_rounds_take_what_topk_sends_of_models_that_are_behind(tmp_path: Path) -> None:
    flags = ("--task", str(CLIMATE), "--discipline", "asynchronous", "--buffer", "1", "--min-clients", "2", "--codec", "topk")
    with ServerProcess(tmp_path, *flags, "--strategy", "fedavgm", "--strategy-option", "momentum=0") as server:
        clients = [ClientProcess(server.url, tmp_path, name=name).wait_connected() for name in ("pi-1", "pi-2")]
        try:
            server.measure(200)
            server.api.start()
            wait_for(lambda: server.api.status()["round"] >= 8, "eight models")
            server.api.stop()
        finally:
            for client in clients:
                client.stop()
        records = [record for record in server.api.rounds() if record["state"] == "committed"]
    parts = [(record["round"], part) for record in records for part in record["clients"].values() if part["replied"] is not None]
    assert {part["bytes"] for _, part in parts} == {encoded_size(LAYOUT, "topk-0.01")}
    assert any(part["asked"] is not None and part["asked"] < number for number, part in parts), "somebody trained from an earlier model"
    losses = [record["metrics"]["loss_before"] for record in records]
    assert min(losses[-2:]) < losses[0]
