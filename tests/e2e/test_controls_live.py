"""SCAFFOLD between real processes, with the climate graph: whenever its server dies, its sum is that of the controls that clients keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bramble_client.acquire.recorder import Recorder
from bramble_client.learn import local_state
from bramble_client.learn.controls import Controls
from bramble_protocol.graph import GraphFile
from bramble_server.store import Store, models
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ROOT, ServerProcess
from tests.waiting import wait_for

DYING = ROOT / "tests" / "server" / "dying.py"
FLAGS = ("--task", str(CLIMATE), "--strategy", "scaffold", "--min-updates", "2", "--deadline", "10m")
POINTS = ("before an update is acknowledged", "before the commit", "in the commit", "after the commit")
NAMES = ("pi-1", "pi-2")


def controls(client: ClientProcess) -> Controls:
    """What a client that has ended keeps, by round."""
    graph, recorder = GraphFile.read(CLIMATE.read_bytes()), Recorder(client.folder / "readings.db", 10_000)
    try:
        return local_state.read(recorder.get(local_state.LOCAL_STATE), graph.manifest, graph.state)[1]
    finally:
        recorder.close()


def test_a_server_killed_at_any_point_of_a_round_and_its_clients_have_the_same_controls(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, *FLAGS)
    clients = [ClientProcess(server.url, tmp_path, name=name).wait_connected() for name in NAMES]
    try:
        server.measure(200)
        assert server.play()["state"] == "committed"
        for number, point in enumerate(POINTS, 2):
            server.stop()
            server = ServerProcess(tmp_path, *FLAGS, port=server.port, script=DYING, DIE_AT=f"{point}:{number}")
            wait_for(lambda server=server: server.api.status()["able"] == 2, "both clients to be back")
            server.api.start()
            assert server.process.wait(60) == -9
            server.stop()
            server = ServerProcess(tmp_path, *FLAGS, port=server.port)
            wait_for(lambda server=server, number=number: server.api.status()["round"] == number, "the round to be committed")
            assert server.api.round(number)["updates"] == 2
        wait_for(lambda: server.api.status()["able"] == 2, "both clients to be back")
        record = server.play()
        assert (record["round"], record["state"], record["updates"]) == (len(POINTS) + 2, "committed", 2)
        assert "begin anew" not in server.log()
        for client in clients:
            client.delivered()
    finally:
        for client in clients:
            client.stop()
        server.stop()
    kept = [controls(client)[record["round"]] for client in clients]
    store = Store(tmp_path / "data" / "bramble.db")
    with store.reading() as connection:
        state = models.memory(connection, record["round"]).state
    store.close()
    assert state["since"].tolist() == [record["round"]] * 2
    assert all(np.linalg.norm(own) > 1e-3 for own in kept)
    assert np.linalg.norm(kept[0] - kept[1]) > 1e-3, "their data differ"
    np.testing.assert_allclose(state["controls"], kept[0] + kept[1], atol=1e-5)
