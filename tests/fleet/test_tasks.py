"""Several tasks on one server: the inventory names them, the play brings what is no built-in one, and booted clients learn both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet
from tests.second_task import later


@pytest.mark.timeout(600)
def test_a_second_task_is_brought_signed_learnt_by_all_and_goes_back_with_its_release(
    controller: Controller, fleet: Fleet, api: Api, source: Path, tmp_path: Path
) -> None:
    limit, here = ("--limit", "localhost,hub"), "cd /etc/bramble && ls graph*; cat server.toml"
    graph, before = later(tmp_path), fleet.server.output(here)
    several = {
        "server_tasks": ["climate", str(graph)],
        "server_tracks": {"later": {"strategy": "fedyogi", "strategy_option": {"tau": 0.01}}},
    }
    controller.variables |= several
    try:
        controller.deploy(*limit, source=source).ok()
        there = fleet.server.output(here)
        assert there.startswith("graph.tflite\ngraph.tflite.sig\n")
        assert fleet.server.output("sha256sum </etc/bramble/graph.tflite").split()[0] == api.status("later")["graph"]
        api.wait_for(CLIENTS)
        api.generate()
        rounds = {task: api.start_round(task) for task in ("climate", "later")}
        for task, number in rounds.items():
            record = api.end_of(number, task)
            assert (record["state"], record["task"]) == ("committed", task)
            assert api.trained(number) == CLIENTS
        assert [api.status(task)["strategy"]["name"] for task in rounds] == ["fedavg", "fedyogi"]
        controller.play("rollback.yml", *limit, source=source).ok()
    finally:
        for variable in several:
            del controller.variables[variable]
    assert fleet.server.output(here) == before
    assert [each["task"] for each in api.status()["tasks"]] == ["climate"]
    api.wait_for(CLIENTS)
