"""A group's own model beside everybody's, of one task, on a real server with real clients; and what the comparison says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bramble import groups
from bramble.settings import GroupsSettings
from tests.edge_client.process import ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

FLAGS = ("--task", "climate", "--task", "north=climate", "--track", "north.group=building=north", "--min-updates", "2", "--deadline", "10m")
WHERE = {"pi-1": "north", "pi-2": "north", "pi-3": "south"}


def test_a_group_learns_a_model_of_its_own_beside_everybodys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ServerProcess(tmp_path, *FLAGS) as server:
        clients = [ClientProcess(server.url, tmp_path, "--group", f"building={WHERE[name]}", name=name).wait_connected() for name in WHERE]
        try:
            server.measure(300)
            for count in (1, 2):
                for task, many in (("climate", 3), ("north", 2)):
                    record = server.ended(server.api.start(task)["round"])
                    assert (record["state"], record["updates"], record["task"]) == ("committed", many, task), count
                server.measure(30)
            known = server.api.clients()
            assert {name: client["groups"] for name, client in known.items()} == {name: {"building": at} for name, at in WHERE.items()}
            assert known["pi-3"]["tasks"] == {
                "climate": None,
                "north": "is not of building=north, so it is not asked for rounds of this task",
            }
            assert server.api.clients("north")["pi-3"]["remarks"] == [], "nothing is wrong with a client of another building"
            assert not np.array_equal(
                server.api.model("climate")["weights"]["change/kernel"], server.api.model("north")["weights"]["change/kernel"]
            )
            assert groups.run(GroupsSettings(server=server.url, as_json=True)) == 0
            (found,) = json.loads(capsys.readouterr().out)
            assert (found["task"], found["beside"], found["clients"], found["group"]) == ("north", "climate", 2, {"building": "north"})
            assert found["own"]["samples"] > 0
            assert found["ratio"] == pytest.approx(found["own"]["error"] / found["other"]["error"])
            assert groups.run(GroupsSettings(server=server.url)) == 0
            assert "building=north" in capsys.readouterr().out
        finally:
            for client in clients:
                client.stop()
        wait_for(lambda: not server.api.status()["clients"], "all to be gone")
        server.stop()
        again = ServerProcess(tmp_path, *FLAGS, port=server.port)
        try:
            assert again.api.clients()["pi-3"]["groups"] == {"building": "south"}, "it is known where an absent client belongs"
            assert again.api.status("north")["round"] > 0
        finally:
            again.stop()
