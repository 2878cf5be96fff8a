"""A play that is cut anywhere is finished by the next run of the same command: what runs is compared with what is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet

LIMIT = ("--limit", "localhost,hub,pi-1")
RENEW = ("-e", '{"identity_renew": ["tokens"]}')
UNITS = {"hub": ["bramble-server.service", "bramble-inspector.service"], "pi-1": ["bramble-client.service"]}


def stale(fleet: Fleet) -> list[str]:
    """Return the units that were started with something else than is there now."""
    return [unit for name, units in UNITS.items() for unit in units if fleet[name].output(f"/opt/bramble/given {unit}") != "same"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("task", "nth", "setting"),
    [
        ("Run it, also after a reboot", 1, {"server_deadline": "61s"}),  # the server's release switched, its unit not restarted
        ("Mark it complete", 1, {"client_sample_every": "3s"}),  # half a release
        ("Remember what runs here", 1, {"server_deadline": "62s"}),  # everything done, but the rest of the roll-out
    ],
    ids=["between switch and restart", "during an installation", "after the server"],
)
def test_one_more_run_finishes_what_was_cut(
    controller: Controller, fleet: Fleet, api: Api, source: Path, task: str, nth: int, setting: dict[str, str]
) -> None:
    controller.variables.update(setting)
    controller.cut(task, *LIMIT, nth=nth, source=source)
    controller.deploy(*LIMIT, source=source).ok()
    assert stale(fleet) == []
    api.wait_for(CLIENTS)
    ((name, value),) = setting.items()
    host, settings = ("hub", "server.toml") if name.startswith("server") else ("pi-1", "client.toml")
    assert f'"{value}"' in fleet[host].output(f"cat /etc/bramble/{settings}")


@pytest.mark.timeout(1800)
def test_a_client_whose_token_was_brought_and_that_was_not_restarted_is_not_locked_out(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    controller.cut("Switch to the release", *LIMIT, *RENEW, nth=3, source=source)  # the server's, the inspector's, and pi-1's
    controller.deploy(source=source).ok()
    assert stale(fleet) == []
    api.wait_for(CLIENTS)
    play = controller.deploy(source=source).ok()
    assert set(play.changed.values()) == {0}, play.output[-5000:]


@pytest.mark.timeout(1800)
def test_a_client_that_dies_at_every_start_is_not_green_and_is_installed_anew(
    controller: Controller, fleet: Fleet, api: Api, source: Path
) -> None:
    fleet["pi-1"].run("rm /opt/bramble/client/current/bin/bramble && systemctl kill --signal=KILL bramble-client")
    api.wait_for(CLIENTS - {"pi-1"})
    play = controller.deploy(*LIMIT, source=source)
    assert play.failed == ["pi-1"]
    assert "pi-1: bramble-client is not running (activating)" in play.output
    assert "installed anew the next time" in " ".join(play.output.split())
    controller.deploy(*LIMIT, source=source).ok()
    api.wait_for(CLIENTS)
