"""``bramble client list`` against a real server with real connections, one of which lacks what the task takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble.client import tasks
from tests.bramble.test_round import bramble
from tests.server.pi import Pi, hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, "--min-clients", "1") as made:
        yield made


def test_each_client_says_what_it_speaks_and_what_it_takes_part_in_or_why_not(server: ServerProcess) -> None:
    assert bramble("client", "list", "--server", server.url).stdout.startswith(
        "no client has been seen yet; start one with: bramble client "
    )
    lacking = hello("pi-2", protocol=2, features=["sections"], channels=[])
    with Pi(server.url), Pi(server.url, auth=lacking):
        wait_for(lambda: server.api.status()["clients"] == 2, "both")
        name = server.api.status()["task"]
        done = bramble("client", "list", "--server", server.url)
        shown = json.loads(bramble("client", "list", "--server", server.url, "--json").stdout)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines()[1:3]}
    assert "version 1" in rows["pi-1"]
    assert rows["pi-1"].rstrip().endswith(name)
    assert "version 2" in rows["pi-2"]
    assert rows["pi-2"].rstrip().endswith("none")
    assert f"pi-2 takes no part in {name}: " in done.stdout
    assert shown["pi-1"]["tasks"] == {name: None}
    assert "does not measure" in shown["pi-2"]["tasks"][name]


def test_of_a_server_with_several_tasks_all_are_told() -> None:
    said = {"climate": None, "indoor": "does not measure co2"}
    assert tasks({"fits": True, "tasks": said, "remarks": []}, "climate") == said


def test_a_task_that_is_named_is_asked_for_by_its_name(server: ServerProcess) -> None:
    for command in (["round", "list"], ["round", "start"], ["model", "list"], ["model", "rollback", "1"], ["round", "watch"]):
        done = bramble(*command, "--server", server.url, "--task", "nobody-serves-this")
        assert done.returncode == 1, command
        assert "task" in done.stderr, "the server refuses what it does not have, and nothing is done for its first task instead"
