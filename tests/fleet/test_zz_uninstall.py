"""Taking Bramble away: a host is afterwards as it was before the first deployment. Last of all by its name, for nobody is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS, as_it_is
from tests.fleet.controller import Controller, Play
from tests.fleet.fleet import Fleet
from tests.fleet.wait import until


@pytest.fixture(scope="module")
def server(fleet: Fleet, first_play: Play) -> Api:
    """The server of a fleet that grows smaller."""
    return Api(fleet.server)


def known(server: Api) -> set[str]:
    return {*server.get("/clients")["clients"]}


@pytest.mark.timeout(900)
def test_a_client_that_is_to_be_absent_leaves_its_host_and_the_fleet_and_its_readings_stay(
    controller: Controller, fleet: Fleet, source: Path, server: Api, untouched: dict[str, set[str]]
) -> None:
    pi = fleet["pi-3"]
    controller.host_variables["pi-3"]["client_state"] = "absent"
    controller.variables["server_min_updates"] = 2  # as few as private mode takes, which an earlier file may have left
    controller.deploy("--limit", "localhost,hub,pi-3", source=source).ok()
    kept = ("/var/lib/bramble-client", "/var/lib/private/bramble-client", "/var/lib/private ")
    assert as_it_is(pi) - untouched["pi-3"] == {line for line in as_it_is(pi) - untouched["pi-3"] if line.startswith(kept)}
    assert pi.output("find /var/lib/bramble-client/ /var/lib/private/ -name readings.db | wc -l") == "2"
    assert pi.output("find /var/lib/bramble-client /var/lib/private/ ! -user root") == "", "its user is gone"
    until(lambda: known(server) == CLIENTS - {"pi-3a", "pi-3b"}, "the server to forget it", 30)


def test_nothing_is_taken_away_without_a_yes(controller: Controller, fleet: Fleet, source: Path, server: Api) -> None:
    play = controller.play("uninstall.yml", "--limit", "pi-1", source=source)
    assert play.code != 0
    assert "Nothing was deleted: type yes, or pass -e uninstall_confirmed=true." in play.output
    assert fleet["pi-1"].active("bramble-client")


@pytest.mark.timeout(900)
def test_an_uninstalled_fleet_leaves_every_host_as_it_was(
    controller: Controller, fleet: Fleet, source: Path, server: Api, untouched: dict[str, set[str]]
) -> None:
    confirmed = ["-e", "uninstall_confirmed=true", "-e", "uninstall_data=true"]
    controller.play("uninstall.yml", *confirmed, "--limit", "pi-1", source=source).ok()
    until(lambda: "pi-1" not in known(server), "the server to forget it", 30)
    controller.play("uninstall.yml", *confirmed, source=source).ok()
    for name, host in fleet.hosts.items():
        assert as_it_is(host) ^ untouched[name] == set(), name
    assert set(controller.play("uninstall.yml", *confirmed, source=source).ok().changed.values()) == {0}
