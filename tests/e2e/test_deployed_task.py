"""A task that is handed to a running server is learnt by running clients: over real processes, none of which is started anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.bramble.test_round import bramble
from tests.edge_client.process import CLIMATE, ClientProcess
from tests.second_task import later
from tests.server.process import ServerProcess
from tests.waiting import wait_for

NAMES = ("pi-1", "pi-2")
RUNS = ("--task", str(CLIMATE), "--min-updates", "2", "--deadline", "10m")


def test_running_clients_fetch_verify_and_learn_it_and_let_go_of_it(tmp_path: Path) -> None:
    key, graph = tmp_path / "operator.key", later(tmp_path)
    assert bramble("task", "key", str(key)).returncode == 0
    server = ServerProcess(tmp_path, *RUNS)
    clients = [ClientProcess(server.url, tmp_path, "--trust-graphs", f"{key}.pub", name=name).wait_connected() for name in NAMES]
    try:
        server.measure(300)
        done = bramble("task", "deploy", str(graph), "--server", server.url)
        assert done.returncode == 0, done.stderr
        assert "later: graph" in done.stdout
        assert "is learnt from here on, by 2 clients that are connected" in done.stdout
        record = server.ended(server.api.start("later")["round"])
        assert record["state"] == "abandoned"
        assert all("nobody signed it; not run" in part["reason"] for part in record["clients"].values()), record

        again = bramble("task", "deploy", str(graph), "--server", server.url, "--key", str(key))
        assert (again.returncode, again.stdout) == (1, "")
        assert "later is this very graph" in again.stderr
        assert bramble("task", "retire", "later", "--server", server.url).returncode == 0
        assert bramble("task", "deploy", str(graph), "--server", server.url, "--key", str(key), "--set", "epochs=2").returncode == 0
        record = server.ended(server.api.start("later")["round"])
        assert (record["state"], record["task"], record["updates"]) == ("committed", "later", 2)
        listed = bramble("task", "list", "--server", server.url).stdout
        assert ", deployed, signed" in listed
        assert f"last committed round {record['round']}" in listed

        server.stop()
        server = ServerProcess(tmp_path, *RUNS, port=server.port)
        wait_for(lambda: server.api.status("later")["able"] == 2, "both to be back")
        record = server.ended(server.api.start("later")["round"])
        assert (record["state"], record["updates"]) == ("committed", 2)
        assert not np.array_equal(server.api.model("climate")["weights"], server.api.model("later")["weights"])
        assert bramble("task", "retire", "later", "--server", server.url).returncode == 0
        assert server.ended(server.api.start("climate")["round"])["state"] == "committed", "what was there goes on"
        assert [client.process.poll() for client in clients] == [None, None], "nobody was started anew"
    finally:
        for client in clients:
            client.stop()
        server.stop()
