"""A host that is upgraded in place, from Bookworm to Trixie: its Python is another, and the release that it has runs no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host

COUNT = "sqlite3.connect('/var/lib/bramble-client/readings.db').execute('SELECT COUNT(*) FROM samples').fetchone()[0]"
READINGS = f'python3 -c "import sqlite3; print({COUNT})"'


@pytest.fixture
def upgraded(fleet: Fleet, api: Api) -> Iterator[tuple[Host, int]]:
    """The first client's host with another system, and how many readings it had; afterwards it is as it was."""
    pi = fleet["pi-1"]
    api.generate()
    pi.run("systemctl stop bramble-client")
    had = int(pi.output(READINGS))
    assert had > 0
    pi.put_by()
    pi.boot()
    pi.reachable()
    pi.upgrade("trixie")
    yield pi, had
    pi.bring_back()
    api.wait_for(CLIENTS, 90)


@pytest.mark.timeout(900)
def test_a_host_upgraded_in_place_is_mended_by_the_next_run_and_keeps_what_it_is(
    controller: Controller, upgraded: tuple[Host, int], api: Api, source: Path
) -> None:
    pi, had = upgraded
    assert pi.run("/opt/bramble/client/current/bin/bramble --version", check=False).returncode != 0, "its release runs no more"
    play = controller.deploy("--limit", "localhost,hub,pi-1", source=source).ok()
    assert "pi-1: the client was made for cp311-x86_64" in " ".join(play.output.split())
    api.wait_for(CLIENTS)
    assert int(pi.output(READINGS)) >= had
    api.generate()
    assert "pi-1" in api.trained(api.round()["round"])
    back = controller.play("rollback.yml", "--limit", "pi-1", source=source).ok()
    assert back.changed["pi-1"] == 0, "what ran before was the same release, for the Python of then"
