"""What plays promise by the order of their parts.

Who comes first in a roll-out is decided by the inventory, for a group that a play makes has its hosts as they answered. What may be
refused is asked before anything is touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ANSIBLE = Path(__file__).parents[2] / "ansible"
PLAYS = [(path.name, play) for path in sorted(ANSIBLE.glob("*.yml")) for play in yaml.safe_load(path.read_text("utf-8")) or []]
BATCHED: list[tuple[str, dict[str, Any]]] = [(name, play) for name, play in PLAYS if "serial" in play]


def test_there_are_plays_in_batches() -> None:
    assert {name for name, _ in BATCHED} >= {"clients.yml"}


@pytest.mark.parametrize(("name", "play"), BATCHED, ids=[f"{name}: {play['name']}" for name, play in BATCHED])
def test_a_play_in_batches_has_its_hosts_in_the_inventorys_order(name: str, play: dict[str, Any]) -> None:
    first, *narrowed = play["hosts"].split(":")
    assert first == "clients"
    assert all(part.startswith(("&", "!")) for part in narrowed)


@pytest.mark.parametrize(("name", "play"), BATCHED, ids=[f"{name}: {play['name']}" for name, play in BATCHED])
def test_nobody_who_vanished_holds_up_a_batch(name: str, play: dict[str, Any]) -> None:
    knock, passed_over = [i for i, task in enumerate(play["tasks"]) if {"ansible.builtin.ping", "ansible.builtin.meta"} & task.keys()]
    assert play["tasks"][knock]["ignore_unreachable"] is True
    assert play["tasks"][passed_over]["ansible.builtin.meta"] == "end_host"
    assert all("include_role" not in text for task in play["tasks"][:passed_over] for text in task), "before it is switched"


@pytest.mark.parametrize("playbook", ["deploy.yml", "rollback.yml"])
def test_clients_are_brought_anywhere_in_batches_alone(playbook: str) -> None:
    of_clients = [
        play for name, play in PLAYS if name == playbook and play.get("hosts", "").startswith(("clients", "bramble_behind_client"))
    ]
    assert all("absent" in play["name"] for play in of_clients)
    assert any(play.get("ansible.builtin.import_playbook") == "clients.yml" for name, play in PLAYS if name == playbook)


def test_whether_there_is_room_is_asked_before_any_host_is_touched() -> None:
    deploy = [play for name, play in PLAYS if name == "deploy.yml"]
    (asked,) = [i for i, play in enumerate(deploy) if any(_does(task, "plan.yml") for task in play.get("tasks", []))]
    changing = ("base", "prepare.yml", "bramble_files", "'name': 'release'}", "'name': 'server'}", "ansible.builtin.copy")
    touched = [i for i, play in enumerate(deploy) if any(_does(task, *changing) for task in play.get("tasks", []))]
    assert len(touched) >= 3
    assert asked < min(touched)


def _does(task: dict[str, Any], *what: str) -> bool:
    return any(part in str({key: value for key, value in task.items() if key != "vars"}) for part in what)
