"""Who comes first in a roll-out is decided by the inventory: a group that a play makes has its hosts as they answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ANSIBLE = Path(__file__).parents[2] / "ansible"
PLAYS = [(path.name, play) for path in sorted(ANSIBLE.glob("*.yml")) for play in yaml.safe_load(path.read_text("utf-8")) or []]
BATCHED: list[tuple[str, dict[str, Any]]] = [(name, play) for name, play in PLAYS if "serial" in play]


def test_there_are_plays_in_batches() -> None:
    assert {name for name, _ in BATCHED} >= {"clients.yml", "rollback.yml"}


@pytest.mark.parametrize(("name", "play"), BATCHED, ids=[f"{name}: {play['name']}" for name, play in BATCHED])
def test_a_play_in_batches_has_its_hosts_in_the_inventorys_order(name: str, play: dict[str, Any]) -> None:
    first, *narrowed = play["hosts"].split(":")
    assert first == "clients"
    assert all(part.startswith(("&", "!")) for part in narrowed)
