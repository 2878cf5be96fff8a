"""Two tasks on a real server, learnt by real clients, through a kill of the server while rounds of both are open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.edge_client.process import CLIMATE, ClientProcess
from tests.second_task import later
from tests.server.process import ROOT, ServerProcess
from tests.waiting import wait_for

DYING = ROOT / "tests" / "server" / "dying.py"
NAMES = ("pi-1", "pi-2")


def test_both_are_learnt_side_by_side_and_go_on_when_the_server_was_killed(tmp_path: Path) -> None:
    flags = ("--task", str(CLIMATE), "--task", str(later(tmp_path)), "--min-updates", "2", "--deadline", "10m")
    server = ServerProcess(tmp_path, *flags)
    clients = [ClientProcess(server.url, tmp_path, name=name).wait_connected() for name in NAMES]
    try:
        server.measure(300)
        opened = {task: server.api.start(task)["round"] for task in ("climate", "later")}
        for number in opened.values():
            assert server.ended(number)["state"] == "committed"
        assert {item["task"]: item["round"] for item in server.api.status()["tasks"]} == opened
        assert not np.array_equal(server.api.model("climate")["weights"], server.api.model("later")["weights"])
        for name in NAMES:
            assert server.api.clients()[name]["tasks"] == {"climate": None, "later": None}
        channels = {task: server.api.status(task)["forecast"] for task in opened}
        assert channels == {"climate": "temperature.forecast", "later": "temperature.later.forecast"}

        def mirrored() -> Any:
            found = server.api.readings()
            return all(found[name].keys() >= {*channels.values()} for name in NAMES) and found

        for columns in wait_for(mirrored, "the forecasts of both").values():
            first, second = (columns[channels[task]]["t"] for task in ("climate", "later"))
            assert (second[0] - first[0], len(first) - len(second)) == (3 * 3600, 3), "each for the hours of its own task"

        server.stop()
        number = max(opened.values()) + 1
        server = ServerProcess(tmp_path, *flags, port=server.port, script=DYING, DIE_AT=f"before the commit:{number}")
        wait_for(lambda: server.api.status()["able"] == 2, "both clients to be back")
        again = {task: server.api.start(task)["round"] for task in ("climate", "later")}
        assert server.process.wait(60) == -9
        server.stop()
        server = ServerProcess(tmp_path, *flags, port=server.port)
        for task, number in again.items():
            record = server.ended(number)
            assert (record["state"], record["updates"], record["task"]) == ("committed", 2, task)

        kept = server.api.model("climate")
        server.api.reset("later")
        assert server.api.status("later")["round"] == 0
        assert server.api.model("climate") == kept
        assert server.api.status()["round"] == again["climate"]
        number = server.api.start("later")["round"]
        assert server.ended(number)["updates"] == 2, "their readings are still there"
    finally:
        for client in clients:
            client.stop()
        server.stop()
