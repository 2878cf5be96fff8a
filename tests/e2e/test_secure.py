"""Real clients and a real server whose updates nobody sees: secure rounds, with clients that die in each phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess

FLAGS = ("--task", str(CLIMATE), "--min-updates", "2", "--deadline", "2m", "--secure")


@pytest.mark.process
def test_a_fleet_learns_by_sums_alone(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *FLAGS) as server:
        clients = [ClientProcess(server.url, tmp_path, "--secure", name=f"pi-{n}").wait_connected() for n in range(3)]
        try:
            server.measure(200)
            records = [server.play() for _ in range(2)]
        finally:
            for client in clients:
                client.stop()
    assert [(record["state"], record["updates"]) for record in records] == [("committed", 3)] * 2, server.log()
    assert records[1]["metrics"]["loss_before"] < records[0]["metrics"]["loss_before"], "of a model that gets better"
    assert all(part["samples"] is None for part in records[0]["clients"].values())
